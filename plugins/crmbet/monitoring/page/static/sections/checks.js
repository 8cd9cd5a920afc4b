// The checks that failed, run by run.

import { el, empty, link, reportUrl, show, table, tag } from "../dom.js";
import { page } from "../state.js";
import { say } from "../words.js";

const SEVERITY = { CRITICAL: "bad", HIGH: "bad", MEDIUM: "warn", LOW: "" };

function drawChecks() {
  const failed = page.overview.runs.filter((run) => run.breaches.length).slice(0, 40).flatMap((run) => run.breaches.slice(0, 5).map((breach) => [
    el("span", { class: "when" }, link(run.as_of?.slice(5) ?? "?", reportUrl(run.id, breach.stage))),
    el("span", {}, tag(say(breach.severity), SEVERITY[breach.severity]), " ", `${breach.check.replaceAll("_", " ")} · ${breach.view}: ${breach.title.replace(/\.$/, "")}${breach.observed ? `. ${say("Observed")}: ${breach.observed}` : ""}${breach.threshold ? ` (${say("allowed")}: ${breach.threshold})` : ""}`)]));
  show("breaches", failed.length ? table([say("as of"), say("What")], failed) : empty(say("All checks passed"), say("in every stored run")));
}

export const checks = { draw: drawChecks };
