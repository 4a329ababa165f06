"""Migrations are files with a number and a name."""

from pathlib import Path

import pytest

from services.common.errors import UserError
from services.migrate import schema
from services.migrate.versioned import Migration, read


def test_our_own_files_are_well_named_and_in_order() -> None:
    names = [migration.name for migration in schema.read().migrations]
    assert names == sorted(names)
    assert names[0] == "0001_create_event.sql"


def test_a_migration_changes_its_checksum_with_its_text() -> None:
    assert Migration("0001_a.sql", "SELECT 1").checksum != Migration("0001_a.sql", "SELECT 2").checksum
    assert Migration("0001_a.sql", "SELECT 1").checksum == Migration("0001_b.sql", "SELECT 1").checksum


@pytest.mark.parametrize(
    "name", ["create_event.sql", "1_create.sql", "00001_create.sql", "0001-create.sql", "0001_Create.sql"]
)
def test_a_misnamed_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("-- Works with: 0.1.0\nSELECT 1")
    with pytest.raises(UserError, match=rf"migration {name}: name it NNNN_verb_object\.sql"):
        read(tmp_path)


def test_two_files_of_one_number_are_refused(tmp_path: Path) -> None:
    for name in ("0001_create_a.sql", "0001_create_b.sql"):
        (tmp_path / name).write_text("-- Works with: 0.1.0\nSELECT 1")
    with pytest.raises(UserError, match=r"0001_create_a\.sql and 0001_create_b\.sql have the same number"):
        read(tmp_path)
