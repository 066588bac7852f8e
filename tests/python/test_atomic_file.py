"""Files that are replaced as a whole or not at all."""

import pytest

from mlff_student.atomic_file import replaced_when_complete


@pytest.mark.parametrize(
    "content, written", [("ü\n", b"\xc3\xbc\n"), (b"\x00\r\n\xff", b"\x00\r\n\xff")]
)
def test_a_reader_sees_the_old_file_or_the_whole_new_one(tmp_path, content, written):
    binary, target = isinstance(content, bytes), tmp_path / "file.npz"
    target.write_bytes(b"old")
    mode = target.stat().st_mode
    with pytest.raises(KeyboardInterrupt), replaced_when_complete(target, binary) as stream:
        stream.write(content)
        raise KeyboardInterrupt
    assert target.read_bytes() == b"old" and list(tmp_path.iterdir()) == [target]
    with replaced_when_complete(target, binary) as stream:
        stream.write(content)
        stream.flush()
        assert target.read_bytes() == b"old" and list(tmp_path.glob("*.npz")) == [target]
    assert target.read_bytes() == written and list(tmp_path.iterdir()) == [target]
    assert target.stat().st_mode == mode
