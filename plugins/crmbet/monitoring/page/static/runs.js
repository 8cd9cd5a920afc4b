// Which runs the page shows.

import { choice, page } from "./state.js";

const HOUR = 3600e3;
const USUAL_DAYS = "90";
const NO_FIGURES = { score: null, grade: null, cleaned: null, duplicates: null, quarantined: null, reasons: {}, tasks: {}, players: null };

// The dates that a reader has chosen, or the number of days until the newest run.
export const range = () => ({ from: choice("from"), to: choice("to"), days: choice("from") || choice("to") ? "" : choice("days", USUAL_DAYS) });

// One item for each as_of: the figures of its last good run, and its failed runs. Trials (dry_run, validate_only) are
// left out.
function daily(runs) {
  const byDay = new Map();
  for (const run of runs) {
    if (run.dry || !run.as_of) continue;
    const day = byDay.get(run.as_of) ?? { good: null, failed: [] };
    byDay.set(run.as_of, day);
    if (run.state === "failed") day.failed.push(run);
    else day.good ??= run;
  }
  return [...byDay.entries()].sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([as_of, { good, failed }]) => ({ ...(good ?? { ...NO_FIGURES, id: failed[0].id }), as_of, failed }));
}

// Whether a run is of the days that a reader has chosen. The last days are counted from the newest as_of.
export function isShown() {
  const { from, to, days } = range();
  if (from || to) return (run) => (!from || run.as_of >= from) && (!to || run.as_of <= to);
  const newest = page.overview.runs.reduce((last, run) => (!run.dry && run.as_of > last ? run.as_of : last), "");
  if (!Number(days) || !newest) return () => true;
  const first = new Date(new Date(newest) - Number(days) * 24 * HOUR).toISOString().slice(0, 10);
  return (run) => run.as_of > first;
}

export const inRange = () => daily(page.overview.runs).filter(isShown());

// The last good run of the day a week before a run's, or undefined.
export function weekBefore(run) {
  if (!run.as_of) return undefined;
  const day = new Date(new Date(run.as_of) - 7 * 24 * HOUR).toISOString().slice(0, 10);
  return page.overview.runs.find((one) => one.as_of === day && one.state === "success" && !one.dry);
}
