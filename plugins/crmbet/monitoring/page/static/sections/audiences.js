// What was handed over to the CRM last, and where the CRM takes it.

import { $, ask, el, show, table, tag } from "../dom.js";
import { count, instant, say } from "../words.js";

let audiences = null;

const folder = (files) => files["full.csv"]?.replace(/[^/]*$/, "");

const leftOut = (excluded) => Object.entries(excluded).map(([reason, players]) => `${count(players)} ${reason.replaceAll("_", " ")}`).join(", ") || "–";

const describe = (one) => el("span", {}, el("b", {}, one.name), " ", tag(one.purpose === "protective" ? say("for protection") : say("for marketing")), el("span", { class: "muted line" }, one.description));

const change = (one) => (one.entered || one.left ? `+${count(one.entered)} / −${count(one.left)}` : "=");

const place = (one) => el("span", {}, el("code", {}, `SELECT * FROM ${one.view}`), el("code", { class: "muted line" }, folder(one.files)));

function drawAudiences() {
  $("audiences").hidden = !audiences;
  if (!audiences) return;
  if (!audiences.length) {
    $("audiences-hint").textContent = say("No audience is handed over. Each file in the folder that CRMBET_AUDIENCES_FOLDER names makes one, from the next load on.");
    show("audiences-list");
    return;
  }
  $("audiences-hint").textContent = say("Lists of players for the CRM, as they were handed over last. The view is the audience as the table says now. The folder has full, entered and left, each as CSV and as Parquet.");
  show("audiences-list", table([say("Audience"), say("as of"), say("Handed over"), `#${say("Players")}`, `#${say("Entered / left")}`, say("Left out, by reason"), say("Where to take it")],
    audiences.map((one) => [describe(one), el("span", { class: "when" }, one.as_of.slice(0, 10)), el("span", { class: "when" }, instant(one.published)), count(one.members), change(one), leftOut(one.excluded), place(one)])));
}

async function loadAudiences() {
  audiences = (await ask("api/audiences"))?.audiences ?? audiences;
  drawAudiences();
}

export const handedOver = { load: loadAudiences, draw: drawAudiences };
