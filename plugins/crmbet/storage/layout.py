"""Where everything lies in the bucket. The one module that knows the layout of our prefix (docs/store.md shows it).

    crmbet/brand=<brand>/
        captures/source=<source>/chunk=<digest>/     what a source said, as it said it
        <dataset>/_index/<attempt>.json              contents of many done-files in one object
        cleaned/source=<source>/day=<first day>/set=<digest>/      a segment: some days, in order
        quarantine/source=<source>/day=<first day>/set=<digest>/   rows of its days that break their contract
        state/day=<first day>/set=<digest>/          one row per player and day
        sessions/day=<first day>/set=<digest>/       one row per session, derived from bets
        session_bets/day=<first day>/set=<digest>/   bets by day and recorded session
        state_blocks/                                what releases before 0.8.0 kept beside the state
        thresholds/version=<v>/as_of=<date>/         frozen cut-offs of the responsible-gambling markers
        models/as_of=<date>/                         parameters that a run fitted, for those that cannot
        feature_tables/day=<as_of>/set=<digest>/     done-files that name the run whose feature table was made from this
        runs/run_id=<run>/<task>.json                what a run used and made
        runs/run_id=<run>/features/                  the feature table of the run, and what was learned with it
        runs/run_id=<run>/players/<digest>/<part>/   what is made of a part of the players, until the table is there
        runs/run_id=<run>/players/<digest>/all/      what was learned from all players, for the parts
        runs/run_id=<run>/matrix/                    the same as numbers, and the pipeline that made them
        reports/as_of=<date>/run_id=<run>/           quality reports
        baselines/stage=<stage>/frozen=<date>/as_of=<date>/run_id=<run>.json   what distributions are compared with
        audiences/<purpose>/audience=<name>/as_of=<date>/publication=<id>/   who was handed over, and what changed
        erasures/<certificate>.json                  what was erased and the proof, without ids
        damaged/<key>                                an object that was found damaged, under the key that it had

Nothing is ever updated. Each attempt writes files and then its done-file, `<attempt>_done.json`, under names of its
own. A folder of data counts only once such a done-file is there.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import date
from urllib.parse import quote

DONE = "_done.json"
INDEX = "_index/"
DAMAGED = "damaged/"

_DATA = r"[^/]+(\.parquet|_done\.json)"
_DAY = r"day=\d{4}-\d\d-\d\d/set=[0-9a-f]+"
_COPY = rf"{INDEX}[^/]+\.json"
OURS = re.compile(
    rf"captures/source=[^/]+/(chunk=[0-9a-f]+/{_DATA}|{_COPY})"
    rf"|cleaned/source=[^/]+/({_DAY}/{_DATA}|{_COPY})"
    rf"|quarantine/source=[^/]+/{_DAY}/[^/]+\.parquet"
    rf"|(state|sessions|state_blocks|session_bets|feature_tables)/({_DAY}/{_DATA}|{_COPY})"
    r"|thresholds/version=[^/]+/as_of=\d{4}-\d\d-\d\d/[^/]+\.json"
    r"|models/as_of=\d{4}-\d\d-\d\d/[^/]+\.json"
    r"|runs/run_id=[^/]+/([^/]+\.json|features/[^/]+\.(parquet|json)|matrix/[^/]+\.(parquet|joblib)"
    r"|players/[0-9a-f]+/(\d+_of_\d+|all)/[^/]+\.(parquet|json))"
    r"|reports/as_of=[^/]+/run_id=[^/]+/[^/]+\.(json|html|zip)"
    # Releases before 0.8.0 wrote each page of Data Docs by itself.
    r"|reports/as_of=[^/]+/run_id=[^/]+/data_docs/[^/]+/.+"
    r"|baselines/stage=[^/]+/frozen=[^/]+/as_of=[^/]+/run_id=[^/]+\.json"
    r"|audiences/(marketing|protective)/audience=[^/]+/as_of=[^/]+/publication=[0-9a-f]+/[^/]+\.(parquet|csv)"
    r"|erasures/[^/]+\.json"
    rf"|{DAMAGED}.+"
)
"""What we write below our root. Whatever else lies there is somebody else's."""


@dataclass(frozen=True, kw_only=True)
class Partition:
    """A folder of immutable files that exists from the moment it has a done-file."""

    prefix: str
    """Ends with '/'."""

    def done_file(self, attempt: str) -> str:
        """Key of the done-file that an attempt writes last."""
        return f"{self.prefix}{attempt}{DONE}"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The keys of one brand."""

    brand: str

    @property
    def root(self) -> str:
        """The prefix that everything of the brand lies under."""
        return f"crmbet/brand={self.brand}/"

    def is_ours(self, key: str) -> bool:
        """Whether a key is one that this module gives out."""
        return key.startswith(self.root) and OURS.fullmatch(key, len(self.root)) is not None

    def captures(self, source: str) -> str:
        """Folder of all captures of a source."""
        return f"{self.root}captures/source={source}/"

    def capture(self, source: str, digest: str) -> Partition:
        """One captured chunk."""
        return Partition(prefix=f"{self.captures(source)}chunk={digest}/")

    @property
    def all_fitted_models(self) -> str:
        """Folder of all fitted models."""
        return f"{self.root}models/"

    def fitted_models(self, as_of: date) -> str:
        """Folder of the models that runs of an as_of fitted."""
        return f"{self.all_fitted_models}as_of={as_of.isoformat()}/"

    @property
    def runs(self) -> str:
        """Folder of all runs."""
        return f"{self.root}runs/"

    @property
    def reports(self) -> str:
        """Folder of all quality reports."""
        return f"{self.root}reports/"

    @property
    def certificates(self) -> str:
        """Folder of the certificates of erasures."""
        return f"{self.root}erasures/"

    def cut_offs(self, version: str) -> str:
        """Folder of the markers' frozen cut-offs for a version of the feature definitions."""
        return f"{self.root}thresholds/version={_segment(version)}/"

    def dataset(self, name: str) -> str:
        """Folder of a dataset kept by day, such as 'state' or 'cleaned/source=bets'."""
        return f"{self.root}{name}/"

    def day(self, dataset: str, day: date, digest: str) -> Partition:
        """One day of such a dataset, made from inputs with this digest."""
        return Partition(prefix=f"{self.dataset(dataset)}day={day.isoformat()}/set={digest}/")

    def run(self, run_id: str) -> str:
        """Folder of a run."""
        return f"{self.runs}run_id={_segment(run_id)}/"

    def players(self, run_id: str) -> str:
        """Where a run keeps what is made of parts of the players, until its table is there."""
        return f"{self.run(run_id)}players/"

    def report(self, as_of: date, run_id: str) -> str:
        """Folder of a run's quality reports."""
        return f"{self.reports}as_of={as_of.isoformat()}/run_id={_segment(run_id)}/"

    @property
    def audiences(self) -> str:
        """Folder of all that was handed over."""
        return f"{self.root}audiences/"

    def publication(self, purpose: str, audience: str, as_of: date, publication: str) -> str:
        """Folder of an audience as it was handed over once. Those of one purpose share a folder, for a policy of S3."""
        folder = f"{self.audiences}{purpose}/audience={audience}/as_of={as_of.isoformat()}/"
        return f"{folder}publication={publication}/"

    def baselines(self, stage: str) -> str:
        """Folder of a stage's baselines."""
        return f"{self.root}baselines/stage={stage}/"

    def baseline(self, stage: str, frozen: date, as_of: date, run_id: str) -> str:
        """What a run has added to the baseline that began as of `frozen`."""
        folder = f"{self.baselines(stage)}frozen={frozen.isoformat()}/as_of={as_of.isoformat()}/"
        return f"{folder}run_id={_segment(run_id)}.json"


def _segment(run_id: str) -> str:
    """A run id as one folder name: what Airflow makes stays as it is, a slash or a space does not."""
    return quote(run_id, safe=":+")


def aside(key: str) -> str:
    """Where a damaged object is kept: below the root of its brand, where nothing is read."""
    root, rest = _split(key)
    return f"{root}{DAMAGED}{rest}"


def dataset_of(key: str) -> str:
    """The name of the dataset kept by day that a file belongs to, such as 'cleaned/source=bets'."""
    return _split(key)[1].partition("/day=")[0]


def kind_of(key: str) -> str:
    """The folder below the root of its brand that a key lies in, such as 'captures'."""
    return _split(key)[1].partition("/")[0]


def source_of(key: str) -> str:
    """The source that a key names; empty if it names none."""
    found = re.search(r"/source=([^/]+)/", key)
    return found.group(1) if found else ""


def _split(key: str) -> tuple[str, str]:
    """A key's root, and the rest of it."""
    found = re.match(r"crmbet/brand=[^/]+/", key)
    return (found.group(), key[found.end() :]) if found else ("", key)


def attempt_name() -> str:
    """A name for files that no other attempt uses."""
    return uuid.uuid4().hex[:12]
