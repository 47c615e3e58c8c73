#!/usr/bin/env python3
"""Turns docs/openapi.yaml into a C++ source that holds it as JSON: embed_openapi.py INPUT OUTPUT"""
import json
import sys

import yaml


def main() -> int:
    with open(sys.argv[1], encoding="utf-8") as source:
        text = json.dumps(yaml.safe_load(source), ensure_ascii=True, separators=(",", ":"))
    # A string literal may not be longer than 64 KiB in some compilers: pieces are joined by the compiler.
    pieces = [text[i:i + 8000] for i in range(0, len(text), 8000)]
    with open(sys.argv[2], "w", encoding="utf-8") as out:
        out.write('#include "daemon/api/openapi.hpp"\n\nnamespace tally::daemon::api {\n\n')
        out.write("const std::string_view kOpenApi =\n")
        out.write("\n".join(f'    R"json({piece})json"' for piece in pieces))
        out.write(";\n\n}  // namespace tally::daemon::api\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
