from __future__ import annotations

import asyncio
import hmac
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tenantry.adapters.tokens import MountedTokens
from tenantry.core.secret import Secret

Reports = list[tuple[str, dict[str, object]]]


@pytest.fixture
def reports() -> Reports:
    return []


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    folder = tmp_path / "tokens"
    folder.mkdir()
    return folder


def tokens(
    reports: Reports,
    *,
    value: str | None = None,
    file: Path | None = None,
    directory: Path | None = None,
    recheck: float = 3600,
) -> MountedTokens:
    return MountedTokens(
        value=None if value is None else Secret(value),
        file=file,
        directory=directory,
        recheck=timedelta(seconds=recheck),
        report=lambda event, fields: reports.append((event, fields)),
    )


def skipped(reports: Reports) -> dict[object, object]:
    return {fields["file"]: fields["reason"] for event, fields in reports if event == "token_skipped"}


def mount(directory: Path, version: str, **files: str) -> None:
    """Write a version of a Secret as the kubelet does: a new folder, one swap of a link, then the names beside it."""
    data = directory / f"..{version}"
    data.mkdir()
    for name, text in files.items():
        (data / name.replace("_", ".")).write_text(text)
    swap = directory / "..data_tmp"
    swap.symlink_to(data.name)
    before = (directory / "..data").resolve() if (directory / "..data").exists() else None
    swap.rename(directory / "..data")
    tidy(directory, data)
    if before is not None:
        for old in before.iterdir():
            old.unlink()
        before.rmdir()


def tidy(directory: Path, data: Path) -> None:
    """Bring the names beside `..data` in line with what it holds."""
    for path in data.iterdir():
        if not (directory / path.name).is_symlink():
            (directory / path.name).symlink_to(Path("..data") / path.name)
    for path in directory.iterdir():
        if not path.name.startswith(".") and not path.exists():
            path.unlink()


@asynccontextmanager
async def watching(mounted: MountedTokens) -> AsyncIterator[None]:
    task = asyncio.create_task(mounted.watch())
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def valid(mounted: MountedTokens, text: str, consumer: str) -> Callable[[], bool]:
    return lambda: mounted.consumer_of(text) == consumer


async def eventually(condition: Callable[[], bool], within: float = 20.0) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.01)


# --- who asks ---


def test_the_token_from_the_environment_is_of_the_default_consumer(reports: Reports) -> None:
    mounted = tokens(reports, value="abc")

    assert mounted.consumer_of("abc") == "default"
    assert mounted.count == 1
    assert reports == [("tokens_changed", {"tokens": 1, "consumers": 1})]


@pytest.mark.parametrize("presented", ["", "ab", "abcd", "ABC", " abc", "abc\n", "äbc", "abc€", "\ud800"])
def test_another_token_is_nobodys(presented: str, reports: Reports) -> None:
    assert tokens(reports, value="abc").consumer_of(presented) is None


def test_without_a_token_nobody_may_ask(reports: Reports) -> None:
    mounted = tokens(reports, value=" \n")

    assert mounted.count == 0
    assert mounted.consumer_of("") is None
    assert mounted.consumer_of(" \n") is None


def test_the_token_of_a_single_file_is_of_the_default_consumer(reports: Reports, tmp_path: Path) -> None:
    (tmp_path / "prod.1").write_text("abc\n")

    assert tokens(reports, file=tmp_path / "prod.1").consumer_of("abc") == "default"


@pytest.mark.parametrize(
    ("name", "consumer"),
    [
        pytest.param("prod", "prod", id="a plain name"),
        pytest.param("prod.1", "prod", id="a numbered one"),
        pytest.param("prod.eu.12", "prod.eu", id="a numbered one with a dot"),
        pytest.param("prod.eu", "prod.eu", id="a dot without a number"),
        pytest.param("prod.1a", "prod.1a", id="a number with a letter"),
        pytest.param("7", "7", id="only a number"),
        pytest.param("prod.", "prod.", id="a dot at the end"),
    ],
)
def test_the_consumer_is_the_files_name_without_its_number(
    name: str, consumer: str, reports: Reports, directory: Path
) -> None:
    (directory / name).write_text("abc")

    assert tokens(reports, directory=directory).consumer_of("abc") == consumer


def test_tokens_of_all_sources_are_valid_together(reports: Reports, directory: Path, tmp_path: Path) -> None:
    (tmp_path / "single").write_text("two")
    (directory / "prod").write_text("three")
    (directory / "test").write_text("four")

    mounted = tokens(reports, value="one", file=tmp_path / "single", directory=directory)

    assert [mounted.consumer_of(text) for text in ("one", "two", "three", "four")] == [
        "default",
        "default",
        "prod",
        "test",
    ]
    assert reports == [("tokens_changed", {"tokens": 4, "consumers": 3})]


def test_white_space_around_a_token_is_trimmed(reports: Reports, directory: Path) -> None:
    (directory / "prod").write_bytes(b" \t abc \r\n")

    assert tokens(reports, directory=directory).consumer_of("abc") == "prod"


def test_a_token_beyond_ascii_is_known_however_the_header_was_decoded(reports: Reports, directory: Path) -> None:
    (directory / "prod").write_text("schlüssel€")
    mounted = tokens(reports, directory=directory)

    assert mounted.consumer_of("schlüssel€") == "prod"
    assert mounted.consumer_of("schlüssel€".encode().decode("latin-1")) == "prod"


@hypothesis_settings(deadline=None)
@given(st.text())
def test_whatever_is_presented_is_nobodys_unless_it_is_the_token(presented: str) -> None:
    mounted = tokens([], value="abc")

    assert mounted.consumer_of(presented) == ("default" if presented == "abc" else None)


@pytest.mark.parametrize("presented", ["one", "two", "three", "none"])
def test_every_token_is_compared_whichever_matches(
    presented: str, reports: Reports, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two", "three"):
        (directory / name).write_text(name)
    mounted = tokens(reports, directory=directory)
    compared: list[int] = []
    compare = hmac.compare_digest

    def counted(one: bytes, other: bytes) -> bool:
        compared.append(len(one) + len(other))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    mounted.consumer_of(presented)

    assert compared == [64, 64, 64]


# --- what is skipped ---


def test_names_that_begin_with_a_dot_are_not_tokens(reports: Reports, directory: Path) -> None:
    (directory / ".hidden").write_text("abc")
    (directory / "..2026_1").mkdir()
    (directory / "folder").mkdir()

    assert tokens(reports, directory=directory).count == 0
    assert reports == []


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        pytest.param(b"", "empty", id="empty"),
        pytest.param(b" \n", "empty", id="only white space"),
        pytest.param(b"hunter2" * 10_000, "larger than 64 KiB", id="too large"),
        pytest.param(b"hunter2\xff", "not UTF-8", id="not text"),
        pytest.param(b"hunter2\nhunter2\n", "holds a line break or a control character", id="two lines"),
    ],
)
def test_what_cannot_be_a_token_is_skipped_and_reported(
    stored: bytes, reason: str, reports: Reports, directory: Path
) -> None:
    (directory / "bad").write_bytes(stored)
    (directory / "good").write_text("abc")

    mounted = tokens(reports, directory=directory)

    assert mounted.count == 1
    assert skipped(reports) == {"bad": reason}
    assert "hunter2" not in str(reports)


def test_a_token_of_exactly_64_kib_is_read(reports: Reports, directory: Path) -> None:
    (directory / "prod").write_text("x" * (64 << 10))

    assert tokens(reports, directory=directory).count == 1


def test_a_problem_is_reported_once_and_again_when_it_comes_back(reports: Reports, directory: Path) -> None:
    bad = directory / "bad"
    bad.write_text("")
    mounted = tokens(reports, directory=directory)

    mounted.reload()
    assert len(reports) == 1

    bad.write_text("abc")
    mounted.reload()
    bad.write_text("")
    mounted.reload()
    assert [event for event, _ in reports] == ["token_skipped", "tokens_changed", "token_skipped", "tokens_changed"]


def test_the_same_token_of_two_consumers_is_the_firsts_by_name(reports: Reports, directory: Path) -> None:
    names = [f"consumer-{letter}" for letter in "zyxwvutsrqponmlkjihgfedcba"]
    for name in names:
        (directory / name).write_text("hunter2")

    mounted = tokens(reports, directory=directory)

    assert mounted.consumer_of("hunter2") == "consumer-a"
    assert mounted.count == 1
    assert skipped(reports) == dict.fromkeys(names[:-1], "the same token as that of 'consumer-a', whose it is")
    assert "hunter2" not in str(reports)


def test_the_same_token_twice_of_one_consumer_is_one_token(reports: Reports, directory: Path) -> None:
    (directory / "prod.1").write_text("abc")
    (directory / "prod.2").write_text("abc\n")

    assert tokens(reports, directory=directory).count == 1
    assert skipped(reports) == {}


# --- reading again ---


def test_reading_again_tells_whether_the_tokens_changed(reports: Reports, directory: Path) -> None:
    (directory / "prod").write_text("abc")
    mounted = tokens(reports, directory=directory)

    assert not mounted.reload()
    (directory / "prod").write_text("def")
    assert mounted.reload()
    assert mounted.consumer_of("abc") is None
    assert mounted.consumer_of("def") == "prod"


def test_a_token_that_moves_to_another_consumer_is_a_change(reports: Reports, directory: Path) -> None:
    (directory / "prod").write_text("abc")
    mounted = tokens(reports, directory=directory)

    (directory / "prod").rename(directory / "test")

    assert mounted.reload()
    assert mounted.consumer_of("abc") == "test"


def test_a_rotation_has_an_overlap_in_which_both_tokens_are_of_one_consumer(reports: Reports, directory: Path) -> None:
    mount(directory, "2026_1", prod_1="old")
    mounted = tokens(reports, directory=directory)

    mount(directory, "2026_2", prod_1="old", prod_2="new")
    assert mounted.reload()
    assert (mounted.consumer_of("old"), mounted.consumer_of("new")) == ("prod", "prod")

    mount(directory, "2026_3", prod_2="new")
    assert mounted.reload()
    assert (mounted.consumer_of("old"), mounted.consumer_of("new")) == (None, "prod")
    assert reports[-1] == ("tokens_changed", {"tokens": 1, "consumers": 1})


def test_in_the_middle_of_a_swap_the_new_tokens_are_valid_already(reports: Reports, directory: Path) -> None:
    mount(directory, "2026_1", prod_1="old")
    mounted = tokens(reports, directory=directory)
    data = directory / "..2026_2"
    data.mkdir()
    (data / "prod.2").write_text("new")
    (directory / "..data").unlink()
    (directory / "..data").symlink_to(data.name)

    mounted.reload()

    assert (mounted.consumer_of("old"), mounted.consumer_of("new")) == (None, "prod")


def test_a_swap_while_the_files_are_read_gives_the_new_tokens(
    reports: Reports, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount(directory, "2026_1", prod_1="old", test_1="old too")
    mounted = tokens(reports, directory=directory)
    opened = Path.open
    swaps = iter(["2026_2"])

    def swapped_before(path: Path, *arguments: str, **keywords: str) -> object:
        if path.name == "test.1" and (version := next(swaps, "")):
            mount(directory, version, prod_2="new", test_2="new too")
        return opened(path, *arguments, **keywords)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", swapped_before)

    assert mounted.reload()
    assert [mounted.consumer_of(text) for text in ("old", "old too", "new", "new too")] == [None, None, "prod", "test"]


def test_a_removed_file_ends_its_token(reports: Reports, directory: Path) -> None:
    (directory / "prod").write_text("abc")
    mounted = tokens(reports, directory=directory)

    (directory / "prod").unlink()

    assert mounted.reload()
    assert mounted.count == 0


def test_a_directory_that_is_gone_leaves_the_last_good_tokens(reports: Reports, directory: Path) -> None:
    (directory / "prod").write_text("abc")
    mounted = tokens(reports, directory=directory)

    directory.rename(directory.with_name("moved"))

    assert not mounted.reload()
    assert mounted.consumer_of("abc") == "prod"
    assert reports[-1] == ("tokens_unreadable", {"file": "tokens", "reason": "No such file or directory"})


def test_a_file_that_is_gone_leaves_its_last_good_token_and_others_go_on(
    reports: Reports, directory: Path, tmp_path: Path
) -> None:
    (tmp_path / "single").write_text("abc")
    mounted = tokens(reports, file=tmp_path / "single", directory=directory)

    (tmp_path / "single").unlink()
    (directory / "prod").write_text("def")

    assert mounted.reload()
    assert (mounted.consumer_of("abc"), mounted.consumer_of("def")) == ("default", "prod")
    assert ("tokens_unreadable", {"file": "single", "reason": "No such file or directory"}) in reports


def test_a_file_that_became_a_folder_leaves_its_last_good_token(reports: Reports, tmp_path: Path) -> None:
    (tmp_path / "single").write_text("abc")
    mounted = tokens(reports, file=tmp_path / "single")

    (tmp_path / "single").unlink()
    (tmp_path / "single").mkdir()

    assert not mounted.reload()
    assert mounted.consumer_of("abc") == "default"
    assert reports[-1] == ("tokens_unreadable", {"file": "single", "reason": "not a regular file"})


def test_a_file_that_cannot_be_read_leaves_its_last_good_token(
    reports: Reports, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / "prod").write_text("abc")
    (directory / "test").write_text("def")
    mounted = tokens(reports, directory=directory)
    opened = Path.open

    def denied(path: Path, *arguments: str) -> object:
        if path.name == "prod":
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", denied)
    (directory / "test").unlink()

    assert mounted.reload()
    assert (mounted.consumer_of("abc"), mounted.consumer_of("def")) == ("prod", None)
    assert ("tokens_unreadable", {"file": "prod", "reason": "Permission denied"}) in reports


def test_files_that_are_not_there_yet_are_reported_and_do_not_stop_the_start(reports: Reports, tmp_path: Path) -> None:
    mounted = tokens(reports, value="abc", file=tmp_path / "none", directory=tmp_path / "nowhere")

    assert mounted.consumer_of("abc") == "default"
    assert {fields["file"] for event, fields in reports if event == "tokens_unreadable"} == {"none", "nowhere"}


def test_nothing_of_a_token_is_shown(reports: Reports, directory: Path) -> None:
    (directory / "prod").write_text("hunter2")
    mounted = tokens(reports, value="hunter3", directory=directory)

    assert repr(mounted) == "MountedTokens(count=2)"
    assert "hunter" not in str(vars(mounted)) + str(reports)


# --- watching ---
# A first change may be seen by the read that follows the start of the watch; a second one only by the watch itself.


@pytest.mark.anyio
async def test_a_changed_file_is_seen_at_once(reports: Reports, directory: Path) -> None:
    (directory / "prod").write_text("abc")
    mounted = tokens(reports, directory=directory)

    async with watching(mounted):
        for text in ("def", "ghi", "jkl"):
            (directory / "prod").write_text(text)
            await eventually(valid(mounted, text, "prod"))

    assert mounted.count == 1
    assert "tokens_not_watched" not in dict(reports)


@pytest.mark.anyio
async def test_a_swap_of_the_kubelets_link_is_seen_at_once(reports: Reports, directory: Path) -> None:
    mount(directory, "2026_1", prod_1="old")
    mounted = tokens(reports, directory=directory)

    async with watching(mounted):
        for version in range(2, 5):
            mount(directory, f"2026_{version}", **{f"prod_{version - 1}": "old", f"prod_{version}": f"new{version}"})
            await eventually(valid(mounted, f"new{version}", "prod"))
            assert mounted.consumer_of("old") == "prod"


@pytest.mark.anyio
async def test_a_swap_under_a_single_file_is_seen_at_once(reports: Reports, directory: Path) -> None:
    mount(directory, "2026_1", token="old")
    mounted = tokens(reports, file=directory / "token")

    async with watching(mounted):
        for version in range(2, 5):
            mount(directory, f"2026_{version}", token=f"new{version}")
            await eventually(valid(mounted, f"new{version}", "default"))

    assert mounted.count == 1


@pytest.mark.anyio
async def test_a_single_file_that_is_replaced_is_seen_at_once(reports: Reports, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old")
    mounted = tokens(reports, file=tmp_path / "token")

    async with watching(mounted):
        for text in ("one", "two", "three"):
            (tmp_path / "next").write_text(text)
            (tmp_path / "next").rename(tmp_path / "token")
            await eventually(valid(mounted, text, "default"))


@pytest.mark.anyio
async def test_what_no_watch_sees_is_read_at_the_next_recheck(
    reports: Reports, directory: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").write_text("old")
    (directory / "prod").symlink_to(tmp_path / "elsewhere")
    mounted = tokens(reports, directory=directory, recheck=0.1)

    async with watching(mounted):
        for text in ("one", "two", "three"):
            (tmp_path / "elsewhere").write_text(text)
            await eventually(valid(mounted, text, "prod"))


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["renamed", "removed"])
async def test_a_directory_that_goes_and_comes_back_is_watched_again(
    way: str, reports: Reports, directory: Path
) -> None:
    mounted = tokens(reports, directory=directory)

    async with watching(mounted):
        for text in ("one", "two"):
            (directory / "prod").write_text(text)
            await eventually(valid(mounted, text, "prod"))

        directory.rename(directory.with_name("gone"))
        if way == "removed":
            shutil.rmtree(directory.with_name("gone"))
        await eventually(lambda: any(event == "tokens_unreadable" for event, _ in reports))
        assert mounted.consumer_of("two") == "prod"

        directory.mkdir()
        for text in ("three", "four", "five"):
            (directory / "prod").write_text(text)
            await eventually(valid(mounted, text, "prod"))


@pytest.mark.anyio
async def test_a_directory_that_comes_later_is_watched(reports: Reports, directory: Path) -> None:
    directory.rmdir()
    mounted = tokens(reports, directory=directory)

    async with watching(mounted):
        await asyncio.sleep(0)
        directory.mkdir()
        for text in ("one", "two", "three"):
            (directory / "prod").write_text(text)
            await eventually(valid(mounted, text, "prod"))

    assert "tokens_not_watched" not in dict(reports)


@pytest.mark.anyio
async def test_where_no_watch_is_to_be_had_the_files_are_read_in_short_intervals(
    reports: Reports, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("watchfiles.main.RustNotify", full)
    mounted = tokens(reports, directory=directory)

    async with watching(mounted):
        for text in ("one", "two", "three"):
            (directory / "prod").write_text(text)
            await eventually(valid(mounted, text, "prod"))

    assert [event for event, _ in reports].count("tokens_not_watched") == 1


@pytest.mark.anyio
@pytest.mark.parametrize("watchable", [pytest.param(True, id="watched"), pytest.param(False, id="no watch to be had")])
async def test_the_watch_ends_when_it_is_cancelled_at_whatever_step(
    watchable: bool, reports: Reports, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> object:
        raise OSError(28, "No space left on device")

    if not watchable:
        monkeypatch.setattr("watchfiles.main.RustNotify", full)
    mounted = tokens(reports, directory=directory)

    for steps in range(12):
        task = asyncio.create_task(mounted.watch())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=5)

        assert task.cancelled(), f"cancelled at step {steps}"


@pytest.mark.anyio
async def test_with_nothing_to_watch_the_watch_goes_on_for_ever(reports: Reports) -> None:
    mounted = tokens(reports, value="abc")

    async with watching(mounted):
        with pytest.raises(TimeoutError):
            await eventually(lambda: mounted.count == 0, within=0.3)


# --- two kinds of tokens -----------------------------------------------------------------------------------------


def test_a_token_that_is_valid_in_both_is_seen_wherever_it_comes_from(reports: Reports, directory: Path) -> None:
    (directory / "argocd.1").write_text("first\n")
    (directory / "argocd.2").write_text("second\n")
    plugin = tokens(reports, directory=directory)

    assert tokens(reports, value=" second ").shares_with(plugin)
    assert plugin.shares_with(tokens(reports, file=directory / "argocd.1"))
    assert not plugin.shares_with(tokens(reports, value="third"))
    assert not tokens(reports).shares_with(tokens(reports))


def test_the_next_token_of_a_consumer_with_two_names_is_that_of_the_first_name(tmp_path: Path) -> None:
    directory = tmp_path / "tokens"
    directory.mkdir()
    (directory / "plugin.1").write_text("first")
    (directory / "plugin.2").write_text("second")
    (directory / "staging").write_text("third")

    tokens = MountedTokens(
        value=Secret("first"), file=None, directory=directory, recheck=timedelta(seconds=30), report=lambda *_: None
    )

    assert [tokens.consumer_of(token) for token in ("first", "second", "third")] == ["default", "default", "staging"]
    assert tokens.consumers == {"default", "staging"}
