"""Units and elements that a potential file can name (CODATA 2018)."""

_AVOGADRO = 6.02214076e23
_ELEMENTARY_CHARGE = 1.602176634e-19
_KJ_PER_MOL = 1000.0 / (_AVOGADRO * _ELEMENTARY_CHARGE)

#: One unit of energy in eV.
ENERGY_UNITS = {
    "eV": 1.0,
    "meV": 1.0e-3,
    "kcal/mol": 4.184 * _KJ_PER_MOL,
    "kJ/mol": _KJ_PER_MOL,
    "Hartree": 27.211386245988,
}

#: One unit of length in Angstrom.
LENGTH_UNITS = {"Angstrom": 1.0, "nm": 10.0, "Bohr": 0.529177210903}

#: Chemical symbols in the order of their atomic numbers, from 1.
SYMBOLS = tuple(
    """H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br
    Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm
    Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr
    Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og""".split()
)

#: Chemical symbol -> atomic number.
ATOMIC_NUMBERS = {symbol: number for number, symbol in enumerate(SYMBOLS, start=1)}


def lammps_units(energy: str, length: str) -> str:
    """The LAMMPS unit style of a pair of units: metal, real, or none."""
    return {("eV", "Angstrom"): "metal", ("kcal/mol", "Angstrom"): "real"}.get(
        (energy, length), "none"
    )
