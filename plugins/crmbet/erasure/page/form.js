// The form sends ids in the body of a request, and forgets them. Everything from data reaches the page as text.

const $ = (id) => document.getElementById(id);
const address = `requests?language=${encodeURIComponent(document.documentElement.lang)}`;

// What the server answers, as [whether it agreed, the answer].
async function call(options) {
  try {
    const response = await fetch(address, { headers: { Accept: "application/json", "Content-Type": "application/json" }, ...options });
    const body = await response.json().catch(() => ({}));
    return [response.ok, { said: [401, 403].includes(response.status) ? document.body.dataset.refused : String(response.status), ...body }];
  } catch {
    return [false, { said: document.body.dataset.gone }];
  }
}

function tell(text, isGood) {
  $("said").textContent = text;
  $("said").className = isGood ? "" : "bad";
}

async function list() {
  const [isGood, answer] = await call({});
  if (!isGood) { tell(answer.said, false); return; }
  $("rows").replaceChildren(...answer.rows.map((cells) => {
    const row = document.createElement("tr");
    for (const cell of cells) row.insertCell().textContent = cell;
    return row;
  }));
}

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.target.querySelector("button");
  button.disabled = true;
  const [isGood, answer] = await call({ method: "POST", body: JSON.stringify({ user_ids: $("ids").value }) });
  button.disabled = false;
  tell(answer.said, isGood);
  if (isGood) { event.target.reset(); list(); }
});

list();
