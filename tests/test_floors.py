"""The package is a house: each floor uses those below it, never those above. And everything public says what it is."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "neus"
# From the top down. Files of the package itself that anything may use stand below the lowest floor.
FLOORS = [
    "cli", "bench", "workflows", "reports", "runs", "viewer", "shapes", "lod", "training", "capture", "checks",
    "evaluation", "texturing", "stereo", "scenes", "meshing", "rendering", "fields", "kernels", "geometry",
]  # fmt: skip
CELLAR = {"errors", "settings", "files", "processes", "version"}
FILES = sorted(PACKAGE.rglob("*.py"))


def depth_of(module: str) -> int:
    """0 for the package's own `__init__` and `__main__`, then floor by floor down to the cellar."""
    parts = module.split(".")
    if len(parts) == 1 or parts[1] == "__main__":
        return 0
    if parts[1] in CELLAR:
        return len(FLOORS) + 1
    assert parts[1] in FLOORS, f"{module}: on no floor; add it to FLOORS or CELLAR where it belongs"
    return FLOORS.index(parts[1]) + 1


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def is_module(name: str) -> bool:
    place = PACKAGE.parent.joinpath(*name.split("."))
    return place.is_dir() or place.with_suffix(".py").is_file()


def imports_of(source: str, module: str) -> list[tuple[int, str]]:
    """Line and module of every import of `neus` in some source, those inside functions too."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = module.split(".")[: -node.level]
                base = ".".join([*parent, *([node.module] if node.module else [])])
            whole = [f"{base}.{alias.name}" for alias in node.names]
            found += [(node.lineno, name if base.startswith("neus") and is_module(name) else base) for name in whole]
    return [(line, name) for line, name in found if name.split(".")[0] == "neus"]


def wrong_imports(source: str, module: str) -> list[str]:
    """Imports from a floor above the module's own."""
    return [
        f"{module}:{line} imports {name}"
        for line, name in imports_of(source, module)
        if depth_of(name) < depth_of(module)
    ]


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_go_down_the_floors(path):
    assert wrong_imports(path.read_text(encoding="utf-8"), module_of(path)) == []


def cycles_in(imports: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, directly or in a circle."""

    def reached_from(module: str) -> set[str]:
        found, waiting = set(), list(imports.get(module, ()))
        while waiting:
            if (name := waiting.pop()) not in found:
                found.add(name)
                waiting.extend(imports.get(name, ()))
        return found

    reached = {module: reached_from(module) for module in imports}
    groups = {tuple(sorted(n for n in reached[m] if m in reached.get(n, ()))) for m in imports if m in reached[m]}
    return sorted(map(list, groups))


def test_no_modules_import_each_other():
    names = {module_of(path): path for path in FILES}
    imports = {
        module: {name for _, name in imports_of(path.read_text(encoding="utf-8"), module) if name in names} - {"neus"}
        for module, path in names.items()
        if module != "neus"  # it imports late, on behalf of its users
    }
    assert cycles_in(imports) == []


def test_a_circle_of_imports_is_found():
    assert cycles_in({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


@pytest.mark.parametrize(
    "source",
    [
        "import neus.training.losses",
        "from neus.training.losses import color_loss",
        "from neus import training",
        "from neus import load_scene",
        "from ..training import losses",
        "def late():\n    from neus.cli.main import main",
        "if True:\n    import numpy, neus.scenes.scene",
        "class A:\n    def late(self):\n        import neus.meshing.extract as extract",
    ],
)
def test_an_import_that_goes_up_is_found(source):
    assert len(wrong_imports(source, "neus.rendering.renderer")) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import torch",
        "from neus.fields.base import SurfaceField",
        "from neus import geometry",
        "from . import weights",
        "from neus.errors import InputError",
        "from neus.rendering.weights import composite",
    ],
)
def test_an_import_that_stays_or_goes_down_is_fine(source):
    assert wrong_imports(source, "neus.rendering.renderer") == []


def test_a_folder_on_no_floor_is_found():
    with pytest.raises(AssertionError, match="neus.attic"):
        depth_of("neus.attic.old")


def undocumented(source: str) -> list[str]:
    """Public classes and functions of some source without a docstring, or without types of arguments and result."""
    tree, found = ast.parse(source), []
    if not ast.get_docstring(tree):
        found.append("the module has no docstring")

    def visit(body: list[ast.stmt], within: str) -> None:
        for node in body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            name = within + node.name
            is_special = node.name.startswith("__") and node.name.endswith("__")
            if node.name.startswith("_") and not is_special:
                continue
            # What constructors and operators do is said by their class.
            if not ast.get_docstring(node) and not is_special:
                found.append(f"{name} has no docstring")
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{name}.")
                continue
            if any("triton.jit" in ast.unparse(decorator) for decorator in node.decorator_list):
                continue  # arguments are what Triton makes of them, pointers and tiles, for which Python has no types
            arguments = node.args
            named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
            skipped = ("self", "cls") if within else ()
            found.extend(
                f"{name}: argument {a.arg} has no type"
                for a in named
                if a is not None and a.annotation is None and a.arg not in skipped
            )
            if node.returns is None:
                found.append(f"{name}: its result has no type")

    visit(tree.body, "")
    return found


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_everything_public_has_a_docstring_and_types(path):
    assert undocumented(path.read_text(encoding="utf-8")) == []


def test_missing_docstrings_and_types_are_found():
    source = '"""M."""\ndef f(x, *, y: int):\n    pass\nclass A:\n    """A."""\n    def g(self) -> int:\n        pass\n'
    assert undocumented(source) == [
        "f has no docstring",
        "f: argument x has no type",
        "f: its result has no type",
        "A.g has no docstring",
    ]


PACKAGES = [path for path in FILES if path.name == "__init__.py" and path.parent != PACKAGE]


@pytest.mark.parametrize("path", PACKAGES, ids=module_of)
def test_a_package_lists_what_it_offers(path):
    body = ast.parse(path.read_text(encoding="utf-8")).body
    beside = {p.stem for p in path.parent.glob("*.py")} | {p.parent.name for p in path.parent.glob("*/__init__.py")}
    # Functions that a package takes from its modules stand for these.
    imported = {alias.name for node in body if isinstance(node, ast.ImportFrom) for alias in node.names}
    public = imported or {name for name in beside if not name.startswith("_")}
    (listed,) = (
        ast.literal_eval(node.value)
        for node in body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    assert listed == sorted(public), f"{path}: __all__ must list {sorted(public)}"
