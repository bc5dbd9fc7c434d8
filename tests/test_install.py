"""The wheel: installed elsewhere, its commands work from any folder."""

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, SMALL

pytestmark = pytest.mark.slow


def run(*command, cwd, **options):
    finished = subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True, **options
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    # a copy, for building leaves files beside the sources
    run("git", "clone", "--quiet", REPOSITORY, source, cwd=folder)
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder, source, cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def elsewhere(wheel, tmp_path_factory):
    """The programs of a virtual environment with the wheel and this one's dependencies."""
    folder = tmp_path_factory.mktemp("elsewhere")
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    programs = folder / "venv" / "bin"
    run(programs / "pip", "install", "--no-deps", wheel, cwd=folder)
    packages = Path(
        run(
            programs / "python",
            "-c",
            "import sysconfig; print(sysconfig.get_path('purelib'))",
            cwd=folder,
        ).strip()
    )
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return programs


def test_the_wheel_carries_the_config_and_no_tests(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    ours = {
        f"sleep_lab/conf/{path.relative_to(REPOSITORY / 'conf')}"
        for path in (REPOSITORY / "conf").rglob("*.yaml")
    }
    modules = {
        str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "sleep_lab").rglob("*.py")
    }
    assert ours | modules <= set(names)
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "conf"))]


def test_the_commands_work_from_any_folder_with_a_users_own_options(elsewhere, tmp_path):
    (tmp_path / "mine" / "encoder").mkdir(parents=True)
    (tmp_path / "mine" / "encoder" / "tiny.yaml").write_text(
        "_target_: sleep_lab.models.encoders.SimpleSleepEncoder\n_partial_: true\nhidden: 3\n"
    )
    trained = run(
        elsewhere / "sleep-lab-train",
        "--config-dir",
        "mine",
        *SMALL,
        "encoder=tiny",
        "hydra.run.dir=run",
        cwd=tmp_path,
    )
    assert "pooled" in trained
    assert "hidden: 3" in (tmp_path / "run" / ".hydra" / "config.yaml").read_text()
    evaluated = run(
        elsewhere / "sleep-lab-evaluate", "model=run", "hydra.run.dir=again", cwd=tmp_path
    )
    assert "pooled" in evaluated
    first, again = (tmp_path / name / "metrics.json" for name in ("run", "again"))
    assert first.read_bytes() == again.read_bytes()
