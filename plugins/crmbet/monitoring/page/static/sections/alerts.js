// The latest alerts.

import { el, empty, link, runUrl, runbookUrl, show, table, tag } from "../dom.js";
import { page } from "../state.js";
import { instant, say } from "../words.js";

function drawAlerts() {
  const alerts = page.overview.alerts.map((alert) => [
    el("span", { class: "when" }, instant(alert.raised_at)), link(alert.task_id ?? alert.dag_id, runUrl(alert.execution_id, alert.dag_id)),
    el("span", {}, tag(say(alert.kind), alert.kind === "recovered" ? "good" : ["deadline", "set_aside", "asked"].includes(alert.kind) ? "warn" : "bad"), " ", say(alert.what), " ", link(say("What to do"), runbookUrl(alert.anchor)))]);
  show("alerts", alerts.length ? table([say("When"), say("Where"), say("What")], alerts) : empty(say("No alerts"), say("since monitoring was set up")));
}

export const alerts = { draw: drawAlerts };
