// What was set aside, by reason.

import { empty, show, table } from "../dom.js";
import { inRange } from "../runs.js";
import { count, say } from "../words.js";

function drawQuarantine() {
  const newest = inRange().reverse().find((run) => run.cleaned !== null);
  const reasons = newest ? Object.entries(newest.reasons).flatMap(([source, counts]) => Object.entries(counts).map(([reason, rows]) => [source, reason, rows])) : [];
  reasons.sort((a, b) => b[2] - a[2]);
  show("reasons", reasons.length
    ? table([say("Source"), say("Reason"), `#${say("Rows")}`], reasons.slice(0, 100).map(([source, reason, rows]) => [source, reason, count(rows)]))
    : empty(say("Nothing in quarantine"), newest ? say("in the run of {date}", { date: newest.as_of }) : say("No run has cleaned any data yet.")));
}

export const quarantine = { draw: drawQuarantine };
