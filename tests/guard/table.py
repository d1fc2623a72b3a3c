"""The table of tenants in the world of the walk, and what happens to its rows."""

from __future__ import annotations

from tenantry.core.columns import Kind

REGIONS = ("eu", "us", "ap")
Row = dict[str, str]


class Table:
    """Rows by id. Every step takes two small numbers."""

    def __init__(self, many: int) -> None:
        self.many = many
        self.rows: dict[str, Row] = {f"t{n:02}": self._row(n) for n in range(many)}
        self.backup = dict(self.rows)
        self.gone: list[str] = []
        self.kind = Kind.TEXT
        self.unreadable: set[str] = set()
        self.nameless = False
        self.floods = 0

    def _row(self, n: int) -> Row:
        return {
            "status": "active",
            "region": REGIONS[n % 2],
            "plan": "pro",
            "size": "1",
            "subdomain": "first",
        }

    def _tenant(self, a: int, b: int) -> str:
        return f"t{(a * 10 + b) % self.many:02}"

    def _set(self, tenant: str, **fields: str) -> None:
        if tenant in self.rows:
            self.rows[tenant] = {**self.rows[tenant], **fields}

    def _remove(self, tenants: list[str]) -> None:
        self.gone = tenants
        self.backup |= {tenant: self.rows.pop(tenant) for tenant in tenants}

    def insert(self, a: int, b: int) -> None:
        self.rows.setdefault(self._tenant(a, b), self._row(a))

    def flood(self, a: int, b: int) -> None:
        self.floods += 1
        self.rows |= {f"n{self.floods}-{n:02}": self._row(n) for n in range(15 + a)}

    def delete(self, a: int, b: int) -> None:
        self._remove([tenant for tenant in (self._tenant(a, b),) if tenant in self.rows])

    def delete_some(self, a: int, b: int) -> None:
        self._remove(list(self.rows)[b : b + a])

    def delete_half(self, a: int, b: int) -> None:
        self._remove(list(self.rows)[:: 1 + a % 3])

    def delete_again(self, a: int, b: int) -> None:
        """Delete those once more who were deleted last, and put back."""
        self._remove([tenant for tenant in self.gone if tenant in self.rows])

    def put_back(self, a: int, b: int) -> None:
        for tenant in [one for one in self.backup if one not in self.rows][: (a + 1) * 2]:
            self.rows[tenant] = self.backup[tenant]

    def change(self, a: int, b: int) -> None:
        self._set(self._tenant(a, b), plan=f"plan-{b}")

    def rename(self, a: int, b: int) -> None:
        self._set(self._tenant(a, b), subdomain=("first", "second", "third")[(a + b) % 3])

    def rename_some(self, a: int, b: int) -> None:
        for tenant in list(self.rows)[b : b + a]:
            self._set(tenant, subdomain=f"later-{b}")

    def move(self, a: int, b: int) -> None:
        self._set(self._tenant(a, b), region=REGIONS[b % 3])

    def move_some(self, a: int, b: int) -> None:
        for tenant in list(self.rows)[b : b + a]:
            self._set(tenant, region=REGIONS[b % 2])

    def retire(self, a: int, b: int) -> None:
        self._set(self._tenant(a, b), status="inactive" if b % 2 else "active")

    def retire_all(self, a: int, b: int) -> None:
        for tenant in list(self.rows):
            self._set(tenant, status="inactive")

    def revive_all(self, a: int, b: int) -> None:
        for tenant in list(self.rows):
            self._set(tenant, status="active", size="1")

    def rewrite_ids(self, a: int, b: int) -> None:
        self.nameless = self.nameless or b < 3
        self.backup = dict(self.rows)
        self.rows = {f"{tenant}-x": row for tenant, row in self.rows.items() if not tenant.endswith("-x")}

    def replace_all(self, a: int, b: int) -> None:
        """Delete everybody, and insert many others."""
        self._remove(list(self.rows))
        self.flood(9, b)

    def restore(self, a: int, b: int) -> None:
        self.rows = {f"t{n:02}": self._row(n) for n in range(self.many)}

    def retype(self, a: int, b: int) -> None:
        """Give a column another type, by which some rows have another value of it."""
        self.kind = Kind.NUMBER if self.kind is Kind.TEXT else Kind.TEXT
        for tenant in list(self.rows)[b : b + a % 4]:
            self._set(tenant, size="2")

    def resize(self, a: int, b: int) -> None:
        self._set(self._tenant(a, b), size=str(1 + b % 2))

    def spoil(self, a: int, b: int) -> None:
        if self._tenant(a, b) in self.rows:
            self.unreadable.add(self._tenant(a, b))

    def mend(self, a: int, b: int) -> None:
        self.unreadable.clear()
        self.nameless = False

    def lose_an_id(self, a: int, b: int) -> None:
        self.nameless = True

    def as_read(self) -> list[dict[str, object]]:
        """Return what a read finds, in the order of ids."""
        rows: list[dict[str, object]] = [{"tenant": tenant, **self._found(tenant)} for tenant in self.rows]
        if self.nameless:
            rows.append({"tenant": "", **self._row(0), "size": self._sized("1")})
        return sorted(rows, key=lambda row: str(row["tenant"]))

    def _found(self, tenant: str) -> dict[str, object]:
        row = self.rows[tenant]
        # A line break is no text of a field: the row cannot be used.
        plan = "a\nb" if tenant in self.unreadable else row["plan"]
        return {**row, "plan": plan, "size": self._sized(row["size"])}

    def _sized(self, size: str) -> object:
        return int(size) if self.kind is Kind.NUMBER else size
