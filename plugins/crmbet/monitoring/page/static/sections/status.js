// Whether today's table can be trusted, and the figures of its run.

import { $, el, link, reportUrl, runUrl, show } from "../dom.js";
import { weekBefore } from "../runs.js";
import { page } from "../state.js";
import { ago, bytes, duration, percent, say, score, short } from "../words.js";

const HOUR = 3600e3;

function describeRun(run) {
  const failed = run.state === "failed";
  return [failed ? "bad" : "good", failed ? (run.failed_task ? say("This run failed at {task}", { task: run.failed_task }) : say("This run failed")) : say("This run succeeded"),
    run.failure ?? "", say("It ended {when}.", { when: ago(run.ended) }), run];
}

// Whether a failed run is why the table is old: it is about a later day, or nobody knows its day and one is due. The
// failure of any other run has changed nothing in the table.
const holdsBack = (run, loaded, age) => (!loaded ? true : run.as_of ? run.as_of > loaded.as_of : run.ended > loaded.ended && age >= 24);

function sayFailed({ as_of, failed_task }) {
  if (as_of && failed_task) return say("The run as of {date} failed at {task}", { date: as_of, task: failed_task });
  if (as_of) return say("The run as of {date} failed", { date: as_of });
  return failed_task ? say("The run failed at {task}", { task: failed_task }) : say("The run failed");
}

function verdict() {
  const wanted = new URLSearchParams(location.search).get("run");
  const shown = wanted && page.overview.runs.find((run) => run.id === wanted);
  if (shown) return describeRun(shown);
  const loaded = page.overview.table;
  const age = loaded ? (new Date(page.overview.now) - new Date(loaded.cut_off)) / HOUR : Infinity;
  const places = loaded && { date: loaded.as_of, when: ago(loaded.ended), backup: loaded.backup };
  const freshness = loaded ? (loaded.backup ? say("The table holds features as of {date}: the backup {backup}, restored {when}.", places) : say("The table holds features as of {date}, loaded {when}.", places)) : say("No run has loaded the table yet.");
  const failed = page.overview.runs.filter((run) => !run.dry && run.state === "failed");
  const blocking = failed.find((run) => holdsBack(run, loaded, age));
  if (blocking) {
    return ["bad", sayFailed(blocking), blocking.failure ?? "", freshness, blocking];
  }
  const run = loaded ?? page.overview.runs.find((one) => !one.dry);
  const others = failed.filter((one) => one.ended > run.ended);
  if (loaded?.backup) return [age < 25 ? "good" : age < 33 ? "warn" : "bad", say("A backup was put in the table's place"), "", freshness, run, others];
  if (age < 25) return ["good", say("Today's run succeeded and the data is fresh"), "", freshness, run, others];
  if (age < 33) return ["warn", say("Today's run has not finished yet"), "", freshness, run, others];
  return ["bad", say("The data is stale"), "", freshness, run, others];
}

const sayDay = (run) => (run.as_of ? say("as of {date}", { date: run.as_of }) : say("as_of unknown"));

function tellOthers(others) {
  if (!others.length) return null;
  const named = others.slice(0, 3).flatMap((run, i) => [i ? ", " : "", link(`${sayDay(run)}${run.failed_task ? say(" at {task}", { task: run.failed_task }) : ""}`, runUrl(run.id, run.dag))]);
  return el("p", { class: "muted", id: "others" }, `${others.length === 1 ? say("A run has failed since, and changed nothing in the table") : say("{count} runs have failed since, and changed nothing in the table", { count: others.length })}: `, ...named, others.length > 3 ? ", …" : ".");
}

const grade = (run) => (run.grade ? `${run.grade} · ${score(run.score)}` : "–");
const quarantined = (run) => (run.accepted_rate === null ? "–" : percent(1 - run.accepted_rate));

function drawStatus() {
  const [kind, title, why, freshness, run, others = []] = verdict();
  const earlier = weekBefore(run);
  const tile = (value, label, url) => el("div", { class: "tile" }, el("b", {}, url ? link(value(run), url) : value(run)), el("span", {}, label), earlier ? el("span", {}, say("a week before: {value}", { value: value(earlier) })) : null);
  $("status").className = `hero card ${kind}`;
  show("status",
    el("div", { class: "verdict" }, el("span", { class: "dot" }),
      el("div", {}, el("h2", {}, title), why ? el("p", {}, why) : null, el("p", { class: "muted" }, freshness, " ", link(say("Open the run"), runUrl(run.id, run.dag))), tellOthers(others))),
    el("div", { class: "tiles" },
      tile(grade, say("quality grade and score"), run.stages.features ? reportUrl(run.id, "features") : run.stages.raw ? reportUrl(run.id, "raw") : null),
      tile((one) => short(one.extracted), say("records extracted")),
      tile(quarantined, say("in quarantine ({count} records)", { count: short(run.quarantined) })),
      tile((one) => short(one.transformed), say("players; {count} rows changed", { count: short((run.inserted ?? 0) + (run.updated ?? 0)) }))));
  $("subtitle").textContent = `${page.overview.schema}.user_features · ${sayDay(run)} · ${say("took {time} · read {read}, wrote {written}", { time: duration(run.seconds), read: bytes(run.bytes_read), written: bytes(run.bytes_written) })}`;
}

export const status = { draw: drawStatus };
