"""Each rule of script/tidy.py finds its breach, and finds nothing where there is none."""
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "script"))
import tidy  # noqa: E402


class Tidy(unittest.TestCase):
    def findings(self, place, text, readme=True):
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            path = root / place
            path.parent.mkdir(parents=True)
            path.write_text(text)
            if readme:
                (root / place.split("/", 1)[0] / "README.md").write_text("# here\n")
            return list(tidy.findings(root))

    def test_lets_arrows_point_inward(self):
        self.assertEqual(self.findings("journal/writer.cpp", '#include "tracker/ports.hpp"\n#include <vector>\n'), [])
        self.assertEqual(self.findings("daemon/app.cpp", '#include "db/store.hpp"\n'), [])
        self.assertEqual(self.findings("tests/db/row_test.cpp", '#include "db/detail/row.hpp"\n'), [])

    def test_finds_an_arrow_that_points_outward(self):
        self.assertEqual(
            self.findings("tracker/flush.cpp", '#include "db/store.hpp"\n'),
            ["tracker/flush.cpp:1: tracker may not know db (it knows nobody)"],
        )

    def test_finds_the_internals_of_another_folder(self):
        self.assertEqual(
            self.findings("daemon/app.cpp", '\n#include "db/detail/row.hpp"\n'),
            ["daemon/app.cpp:2: db/detail/row.hpp is internal to db"],
        )

    def test_finds_a_forbidden_link(self):
        self.assertEqual(
            self.findings("authz/CMakeLists.txt", "target_link_libraries(tally_authz PUBLIC tally_db)\n", readme=False),
            ["authz/CMakeLists.txt:1: authz may not link db"],
        )

    def test_finds_a_second_clock_and_spares_the_first(self):
        line = "auto t = std::chrono::steady_clock::now();\n"
        self.assertEqual(len(self.findings("daemon/http/session.cpp", line)), 1)
        self.assertEqual(self.findings("tracker/clock.cpp", line), [])
        self.assertEqual(self.findings("daemon/http/session.cpp", "// never steady_clock::now here\n"), [])

    def test_finds_a_branching_await(self):
        self.assertEqual(len(self.findings("db/pool.cpp", "  if (ready && co_await open()) return;\n")), 1)
        self.assertEqual(len(self.findings("db/pool.cpp", "  done = done || !co_await open();\n")), 1)
        self.assertEqual(self.findings("db/pool.cpp", "  const bool open = co_await try_open(ready && wanted);\n"), [])

    def test_finds_leftovers(self):
        self.assertEqual(len(self.findings("docs/page.md", "TODO: write\n")), 1)

    def test_finds_a_folder_without_a_readme(self):
        self.assertEqual(self.findings("authz/role.cpp", "\n", readme=False), ["authz/: has no README.md"])


if __name__ == "__main__":
    unittest.main()
