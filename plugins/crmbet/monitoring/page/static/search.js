// The search of the catalogue: all words have to be there. It stands in the address, so that a link shows the same.

const field = document.getElementById("search");
const columns = [...document.querySelectorAll("details[data-search]")];

function search() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const column of columns) {
    column.hidden = !words.every((word) => column.dataset.search.includes(word));
    // Whose name has the words comes before those that only speak of them.
    column.style.order = words.every((word) => column.id.includes(word)) ? 0 : 1;
  }
  const found = columns.filter((column) => !column.hidden).length;
  for (const part of document.querySelectorAll(".part")) part.hidden = ![...part.querySelectorAll("details")].some((column) => !column.hidden);
  const told = document.getElementById("found");
  told.textContent = told.dataset.of.replace("{found}", found);
  const address = new URL(location.href);
  if (field.value) address.searchParams.set("search", field.value);
  else address.searchParams.delete("search");
  history.replaceState(null, "", address);
}

field.value = new URLSearchParams(location.search).get("search") ?? "";
field.addEventListener("input", search);
search();
const named = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
if (named) { named.open = true; named.scrollIntoView(); }
