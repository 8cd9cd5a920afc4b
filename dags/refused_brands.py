"""Shows the brands that are refused, as an import error of this file.

It makes no DAG. Airflow looks into it all the same, because the words "airflow" and "dag" are in it. A DAG file that
fails to import stops all DAGs of that file, so those of the other brands must not know of a bad one: they leave it out,
and this file says why. docs/brands.md explains the files of brands.
"""

from __future__ import annotations

import os

from crmbet.failures import BadSetting
from crmbet.run.brands import read_brands

if refused := read_brands(os.environ).refused:
    raise BadSetting(" ".join(str(reason) for reason in refused.values()))
