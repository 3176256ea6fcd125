"""What is measured or recorded from the package `tokenizers` and stands in the tree is what the package does."""
import subprocess
import sys

import pytest
from conftest import ROOT


@pytest.mark.parametrize("script", ["tools/make_unicode_tables", "tests/text/make_pretokenizer_golden"])
def test_tree_holds_what_the_package_does(script):
    done = subprocess.run([sys.executable, ROOT / script, "--check"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
