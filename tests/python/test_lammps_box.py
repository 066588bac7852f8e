"""Placing structures into LAMMPS's boxes: same lattice, same distances, no needless rotation."""

import numpy as np
import pytest
from ase.build import bulk
from scipy.spatial.transform import Rotation

from mlff_student.lammps_box import StructureError, place

CLEARANCE = 3.0
TRICLINIC = np.array([[7.5, 0.0, 0.0], [1.5, 7.0, 0.0], [-1.0, 0.8, 6.5]])
TURN = Rotation.from_rotvec([0.4, -1.1, 0.7]).as_matrix()


def atoms(n: int = 6, spread: float = 12.0) -> np.ndarray:
    return np.random.default_rng(5).uniform(-spread, spread, (n, 3))


def assert_equivalent(placement, positions, cell, pbc) -> None:
    """The box holds the same periodic structure, up to a proper rotation and a shift."""
    box, rotation, periodic = placement.box, placement.rotation, np.flatnonzero(pbc)
    assert np.array_equal(box, np.tril(box)) and (np.diag(box) > 0).all()
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-13)
    fractional = placement.positions @ np.linalg.inv(box)
    assert (fractional > -1e-12).all() and (fractional < 1 + 1e-12).all()
    # the periodic vectors are whole combinations of the box's, and the other way round
    turned = cell[periodic] @ rotation @ np.linalg.inv(box)
    assert turned == pytest.approx(np.round(turned), abs=1e-11)
    widths = np.diag(box)[np.abs(turned).max(axis=0, initial=0) < 0.5]
    assert len(widths) == 3 - len(periodic)
    if len(periodic) == 3:
        assert np.prod(np.diag(box)) == pytest.approx(abs(np.linalg.det(cell)))
    # differences agree up to lattice vectors
    given = (positions - positions[0]) @ rotation
    found = placement.positions - placement.positions[0]
    images = (found - given) @ np.linalg.inv(box)
    assert images == pytest.approx(np.round(images), abs=1e-11)


CELLS = {
    "restricted": TRICLINIC,
    "orthorhombic": np.diag([5.0, 6.0, 7.0]),
    "turned": TRICLINIC @ TURN,
    "left-handed": TRICLINIC[[1, 0, 2]] @ TURN,
    "permuted": np.array([[0.0, 0.0, 5.0], [6.0, 0.0, 0.0], [0.0, -7.0, 0.0]]),
    "fcc": bulk("Cu").cell.array,
    "skewed": np.array([[3.0, 0.0, 0.0], [40.0, 4.0, 0.0], [-70.0, 95.0, 5.0]]),
    "flat": np.array([[300.0, 0.0, 0.1], [0.0, 2.0, 0.0], [0.0, 0.3, 400.0]]),
}


@pytest.mark.parametrize("pbc", [(1, 1, 1), (1, 1, 0), (0, 1, 1), (1, 0, 0), (0, 0, 1), (0, 0, 0)])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_the_box_holds_the_same_structure(cell, pbc):
    positions = atoms()
    assert_equivalent(place(positions, cell, np.array(pbc, bool), CLEARANCE), positions, cell, pbc)


def test_restricted_and_orthorhombic_cells_are_not_rotated():
    for name in ("restricted", "orthorhombic", "permuted", "skewed"):
        assert not place(atoms(), CELLS[name], np.ones(3, bool), CLEARANCE).is_rotated, name
    for cell in (np.diag([4.0, 5.0, 6.0]), np.array([[0.0, 4, 0], [5.0, 0, 0], [0, 0, 6.0]])):
        for pbc in ((1, 1, 0), (0, 0, 1), (0, 1, 0), (1, 0, 1), (0, 0, 0)):
            assert not place(atoms(), cell, np.array(pbc, bool), CLEARANCE).is_rotated
    assert place(atoms(), CELLS["turned"], np.ones(3, bool), CLEARANCE).is_rotated


def test_tilts_are_small():
    box = place(atoms(), CELLS["skewed"], np.ones(3, bool), CLEARANCE).box
    assert abs(box[1, 0]) <= 0.5 * box[0, 0]
    assert abs(box[2, 0]) <= 0.5 * box[0, 0] and abs(box[2, 1]) <= 0.5 * box[1, 1]


def test_open_directions_keep_images_out_of_reach():
    positions = atoms()
    placement = place(positions, np.zeros((3, 3)), np.zeros(3, bool), CLEARANCE)
    assert placement.positions.min(axis=0) == pytest.approx(CLEARANCE)
    assert np.diag(placement.box) == pytest.approx(np.ptp(positions, axis=0) + 2 * CLEARANCE)


def test_vectors_and_tensors_come_back():
    placement = place(atoms(), CELLS["turned"], np.ones(3, bool), CLEARANCE)
    rng = np.random.default_rng(0)
    vectors, tensors = rng.normal(size=(4, 3)), rng.normal(size=(4, 3, 3))
    r = placement.rotation
    assert placement.vectors_back(vectors @ r) == pytest.approx(vectors)
    assert placement.tensors_back(r.T @ tensors @ r) == pytest.approx(tensors)


def test_impossible_structures_are_refused():
    periodic = np.ones(3, bool)
    with pytest.raises(StructureError, match="periodic along a, b, c.*span no lattice"):
        place(atoms(), np.zeros((3, 3)), periodic, CLEARANCE)
    with pytest.raises(StructureError, match="periodic along a, c"):
        place(atoms(), np.ones((3, 3)), np.array([True, False, True]), CLEARANCE)
    positions = atoms()
    positions[3, 1] = np.nan
    with pytest.raises(StructureError, match="position of atom 4"):
        place(positions, TRICLINIC, periodic, CLEARANCE)
    with pytest.raises(StructureError, match="cell"):
        place(atoms(), np.full((3, 3), np.inf), periodic, CLEARANCE)
