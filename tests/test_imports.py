"""No circle of imports among modules, outside the supervision runtime, which has one by design."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

import grimp

RUNTIME = "godkaiser.supervision"


def test_no_module_imports_itself_by_way_of_others():
    graph = grimp.build_graph("godkaiser", exclude_type_checking_imports=True)
    modules = {name for name in graph.modules if not name.startswith(RUNTIME)}
    imports = {name: graph.find_modules_directly_imported_by(name) & modules for name in modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        circle = " imports ".join(reversed(error.args[1]))
        raise AssertionError(circle) from None
    assert len(modules) > 300
