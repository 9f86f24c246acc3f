import pytest

from tests.contracts.store_contract import StoreContract


class TestSqlite(StoreContract):
    @pytest.fixture
    def folder(self, tmp_path):
        return tmp_path / "store"
