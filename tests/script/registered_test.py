"""Every class of tests/e2e and tests/faults is run by CTest, and every fault that can be injected has a test that names it."""
import ast
import pathlib
import re
import unittest

TESTS = pathlib.Path(__file__).resolve().parents[1]
FAULTS = set(range(1, 26))


def test_classes(folder):
    """(module, class) of every class that has a test of its own or of a base class in its module."""
    for path in sorted((TESTS / folder).glob("test_*.py")):
        has_tests = set()
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.ClassDef):
                continue
            own = any(isinstance(item, ast.FunctionDef) and item.name.startswith("test_") for item in node.body)
            if own or has_tests & {base.id for base in node.bases if isinstance(base, ast.Name)}:
                has_tests.add(node.name)
                yield path.stem, node.name


class Registered(unittest.TestCase):
    def test_every_class_is_registered_once(self):
        for folder in ("e2e", "faults"):
            listed = re.findall(r"tally_(?:e2e|faults)\((test_\w+) ([^)]*)\)", (TESTS / folder / "CMakeLists.txt").read_text(encoding="utf-8"))
            names = [(module, word) for module, words in listed for word in words.split() if re.fullmatch(r"[A-Z][a-z]\w*", word)]
            self.assertEqual(len(names), len(set(names)), f"{folder}: registered twice")
            self.assertEqual(set(test_classes(folder)) - set(names), set(), f"{folder}: never run")
            self.assertEqual(set(names) - set(test_classes(folder)), set(), f"{folder}: registered, and not there")

    def test_every_fault_has_a_test_that_names_it(self):
        named = set()
        for path in [*(TESTS / "e2e").glob("test_*.py"), *(TESTS / "faults").glob("test_*.py")]:
            named |= {int(number) for number in re.findall(r"\bfault[ _](\d+)", path.read_text(encoding="utf-8").replace("test_fault", "fault").replace("_fault_", " fault_"))}
        self.assertEqual(FAULTS - named, set())


if __name__ == "__main__":
    unittest.main()
