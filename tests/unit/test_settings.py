from __future__ import annotations

from datetime import time
from decimal import Decimal
from pathlib import Path

import pytest

from diarynotes.calls import Budgets
from diarynotes.diary.prompt_choice import STYLES
from diarynotes.errors import BadSettings, StorageFailed
from diarynotes.settings import PROMPT_STYLES, load_settings, make_home


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_defaults_are_small_and_local(tmp_path: Path) -> None:
    settings = load_settings({}, home=tmp_path)
    assert settings.database_url is None
    assert settings.day_start == time(4, 0)
    assert settings.writers == ("auto",)
    assert settings.writer_models == {}


def test_command_line_over_environment_over_file_over_default(tmp_path: Path) -> None:
    (tmp_path / "diarynotes.toml").write_text('owner = "file"\nengine = "whisper"\nday_start = 05:30:00\nworkers = 3\n')
    environment = {"DIARYNOTES_OWNER": "environment", "DIARYNOTES_ENGINE": "pocketsphinx"}
    settings = load_settings(environment, home=tmp_path, owner="line", engine=None)
    assert (settings.owner, settings.engine) == ("line", "pocketsphinx")
    assert (settings.day_start, settings.workers) == (time(5, 30), 3)


def test_file_in_the_home_counts_where_the_working_directory_has_none(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "diarynotes.toml").write_text('language = "de"\n')
    assert load_settings({}, home=home).language == "de"


def test_lists_in_the_environment_are_separated_by_commas(tmp_path: Path) -> None:
    settings = load_settings({"DIARYNOTES_RETRY_DELAYS_S": "1, 2.5"}, home=tmp_path)
    assert settings.retry_delays_s == (1.0, 2.5)


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"DIARYNOTES_WORKERS": "many"}, "workers"),
        ({"DIARYNOTES_FETCH_MODELS": "perhaps"}, "fetch_models"),
        ({"DIARYNOTES_DAY_START": "dawn"}, "day_start"),
        ({"DIARYNOTES_TIMEZONE": "Mars/Olympus"}, "timezone"),
        ({"DIARYNOTES_PROMPT_STYLE": "metting"}, "prompt_style"),
        ({"DIARYNOTES_SHARE_CALLS": "perhaps"}, "share_calls"),
        ({"DIARYNOTES_WRITER_CONCURRENCY": "0"}, "writer_concurrency"),
        ({"DIARYNOTES_WRITER_TIMEOUT_S": "nan"}, "writer_timeout_s"),
        ({"DIARYNOTES_BUDGET_DAY_USD": "nan"}, "budget_day_usd"),
        ({"DIARYNOTES_BUDGET_MONTH_USD": "inf"}, "budget_month_usd"),
        ({"DIARYNOTES_OWNER_BUDGET_DAY_USD": "-1"}, "owner_budget_day_usd"),
        ({"DIARYNOTES_OWNER_BUDGET_MONTH_USD": "much"}, "owner_budget_month_usd"),
        ({"DIARYNOTES_OWNERS": '{"anna": {"prompt_style": "metting"}}'}, "prompt_style"),
    ],
)
def test_a_value_that_does_not_fit_is_named(tmp_path: Path, environment: dict[str, str], named: str) -> None:
    with pytest.raises(BadSettings, match=named):
        _ = load_settings(environment, home=tmp_path).zone


def test_switches_are_read_as_people_write_them(tmp_path: Path) -> None:
    assert load_settings({"DIARYNOTES_FETCH_MODELS": "no"}, home=tmp_path).fetch_models is False
    assert load_settings({"DIARYNOTES_FETCH_MODELS": "True"}, home=tmp_path).fetch_models is True


@pytest.mark.parametrize(
    ("said", "meant"), [("yes", "on"), ("true", "on"), ("off", "off"), ("no", "off"), ("low", "low"), ("ON", "on")]
)
def test_sharing_is_switched_as_people_write_it(tmp_path: Path, said: str, meant: str) -> None:
    assert load_settings({"DIARYNOTES_SHARE_CALLS": said}, home=tmp_path).share_calls == meant


def test_a_budget_of_nothing_is_not_a_budget_without_end(tmp_path: Path) -> None:
    assert load_settings({}, home=tmp_path).budgets == Budgets()
    environment = {
        "DIARYNOTES_BUDGET_DAY_USD": "0",
        "DIARYNOTES_OWNER_BUDGET_DAY_USD": "1",
        "DIARYNOTES_OWNERS": '{"anna": {"owner_budget_day_usd": 0}, "ben": {"owner_budget_day_usd": "none"}}',
    }
    settings = load_settings(environment, home=tmp_path)
    assert settings.budgets == Budgets(Decimal(0), None, Decimal(1), None)
    assert settings.of("anna").budgets.owner_day_usd == 0
    assert settings.of("ben").budgets.owner_day_usd is None


def test_the_styles_are_those_of_the_prompts() -> None:
    assert ("auto", *STYLES) == PROMPT_STYLES


def test_an_unknown_key_in_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "diarynotes.toml").write_text("engin = 'whisper'\n")
    with pytest.raises(BadSettings, match="engin"):
        load_settings({}, home=tmp_path)


def test_the_home_is_for_its_owner_alone(tmp_path: Path) -> None:
    settings = load_settings({}, home=tmp_path / "new" / "home")
    make_home(settings)
    make_home(settings)
    assert settings.home.stat().st_mode & 0o077 == 0


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailed, match="file/home"):
        make_home(load_settings({}, home=tmp_path / "file" / "home"))


def test_the_zone_is_an_iana_zone(tmp_path: Path) -> None:
    assert load_settings({}, home=tmp_path, timezone="Europe/Lisbon").zone.key == "Europe/Lisbon"
    assert load_settings({}, home=tmp_path).zone.key


def test_a_key_makes_a_writer_that_could_be_asked(tmp_path: Path) -> None:
    settings = load_settings({"OPENAI_API_KEY": "k", "DIARYNOTES_LLAMA_MODEL": "small.gguf"}, home=tmp_path)
    assert settings.writer_models == {"openai": ("gpt-5.4", "gpt-5.4-mini"), "llama_cpp": ("small.gguf",)}


def test_only_vendors_are_reached_through_a_proxy(tmp_path: Path) -> None:
    options = load_settings({"DIARYNOTES_WRITER_PROXY": "http://proxy:3128"}, home=tmp_path).writer_options
    proxies = {name: given.get("proxy") for name, given in options.items()}
    assert {name for name, proxy in proxies.items() if proxy} == {"openai", "anthropic", "mistral"}


def test_an_owner_has_settings_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "diarynotes.toml").write_text(
        'private_names = ["Zaphod"]\nowner_budget_day_usd = 0.5\nbudget_month_usd = 10\n'
        '[owners.anna]\ncloud = false\nprivate_names = ["Trillian"]\nowner_budget_day_usd = 0.1\nwriters = "server"\n'
    )
    settings = load_settings({}, home=tmp_path)
    anna = settings.of("anna")
    assert (anna.cloud, anna.private_names, anna.writers) == (False, ("Zaphod", "Trillian"), ("server",))
    assert anna.budgets == Budgets(None, Decimal(10), Decimal("0.1"), None)
    assert settings.of("ben").budgets == Budgets(None, Decimal(10), Decimal("0.5"), None)
    assert settings.of("ben").cloud


def test_no_owner_may_loosen_what_is_forbidden_to_all(tmp_path: Path) -> None:
    owners = '{"anna": {"cloud": true}}'
    settings = load_settings({"DIARYNOTES_CLOUD": "no", "DIARYNOTES_OWNERS": owners}, home=tmp_path)
    assert settings.of("anna").cloud is False


@pytest.mark.parametrize("owners", ["anna", '{"anna": 3}', '{"anna": {"home": "/"}}', '{"anna": {"cloud": "perhaps"}}'])
def test_a_table_of_an_owner_that_does_not_fit_is_named(tmp_path: Path, owners: str) -> None:
    with pytest.raises(BadSettings, match=r"owners|cloud"):
        load_settings({"DIARYNOTES_OWNERS": owners}, home=tmp_path)
