// How the stream of live rows does: its figures now, and the age of rows over the last hours.

import { charts, css, curve, removeChart } from "../charts.js";
import { $, ask, el, empty, show, tag } from "../dom.js";
import { count, duration, fixed, language, say } from "../words.js";

const CHART = "chart-stream";
// A run tells every five seconds, and the next one needs some tens of seconds to begin.
const QUIET_SECONDS = 120;
let answer = null;

const age = (seconds) => (seconds === null ? "–" : seconds < 90 ? `${fixed(seconds, 1)} s` : duration(seconds));

// Whether rows are as new as they are to be, in one sentence.
function verdict(last, quiet) {
  if (quiet > QUIET_SECONDS) return [say("No run of the stream has said anything for {time}", { time: duration(quiet) }), "bad"];
  if (last.away_seconds > 0) return [say("Kafka has not answered for {time}", { time: duration(last.away_seconds) }), last.away_seconds > last.max_age_seconds ? "bad" : "warn"];
  if (Math.max(last.age_max ?? 0, last.lag_seconds) > last.max_age_seconds) return [say("Rows are older than allowed"), "bad"];
  return [say("Rows are up to date"), "good"];
}

function drawStream() {
  const minutes = answer?.minutes ?? [];
  $("stream").hidden = !minutes.length;
  if (!minutes.length) { removeChart(CHART); return; }
  const last = minutes.at(-1);
  const [told, kind] = verdict(last, (new Date(answer.now) - new Date(last.seen_at)) / 1000);
  const newest = minutes.findLast((minute) => minute.age_max !== null);
  const sum = (name) => minutes.reduce((all, minute) => all + minute[name], 0);
  show("stream-hint", tag(told, kind), " ", say("The age of a row is the time from its oldest message at the broker to its commit; {limit} are allowed.", { limit: age(last.max_age_seconds) }));
  const tile = (label, value, note) => el("div", { class: "tile" }, el("span", { class: "muted" }, label), el("b", {}, value), el("span", { class: "muted" }, note));
  const hours = say("in {count} h", { count: answer.hours });
  show("stream-tiles",
    tile(say("Age of rows"), age(newest?.age_max ?? null), say("the oldest of the last minute with messages")),
    tile(say("Behind"), age(last.lag_seconds), say("{count} messages", { count: count(last.lag) })),
    tile(say("Messages"), count(sum("messages")), `${hours}, ${say("{count} batches", { count: count(sum("batches")) })}`),
    tile(say("In quarantine"), count(sum("quarantined")), `${hours}, ${say("{count} late", { count: count(sum("late")) })}`));
  if (!window.echarts) return;
  let drawn = charts.get(CHART);
  if (!drawn) {
    $(CHART).replaceChildren();
    drawn = echarts.init($(CHART), null, { renderer: "canvas" });
    charts.set(CHART, drawn);
  }
  const text = css("--muted"), line = css("--line");
  const points = (name) => minutes.map((minute) => [minute.minute, minute[name]]);
  const limit = { silent: true, symbol: "none", lineStyle: { color: css("--bad"), type: "dashed" }, label: { show: false }, data: [{ yAxis: last.max_age_seconds }] };
  const reached = minutes.some((minute) => Math.max(minute.age_max ?? 0, minute.lag_seconds) > last.max_age_seconds / 2);
  drawn.setOption({
    animation: false, textStyle: { fontFamily: "inherit" }, color: [css("--accent"), css("--muted")],
    grid: { left: 8, right: 12, top: 34, bottom: 4, containLabel: true },
    legend: { top: 0, left: 0, icon: "roundRect", itemWidth: 10, itemHeight: 10, textStyle: { color: text, fontSize: 11 } },
    tooltip: { trigger: "axis", confine: true, backgroundColor: css("--card"), borderColor: line, textStyle: { color: css("--text"), fontSize: 12 }, valueFormatter: (value) => age(value ?? null), renderMode: "richText" },
    xAxis: { type: "time", min: new Date(new Date(answer.now) - answer.hours * 3600e3).toISOString(), max: answer.now, axisLabel: { color: text, fontSize: 11, hideOverlap: true, formatter: (at) => new Date(at).toLocaleTimeString(language(), { hour: "2-digit", minute: "2-digit" }) }, axisLine: { lineStyle: { color: line } }, axisTick: { show: false } },
    yAxis: { type: "value", min: 0, axisLabel: { color: text, fontSize: 11, formatter: age }, splitLine: { lineStyle: { color: line } } },
    series: [curve(say("Age of rows"), points("age_max"), reached ? { markLine: limit } : {}), curve(say("Behind"), points("lag_seconds"))],
  }, true);
}

async function loadStream() {
  answer = (await ask("api/stream")) ?? answer;
  drawStream();
}

export const stream = { load: loadStream, draw: drawStream };
