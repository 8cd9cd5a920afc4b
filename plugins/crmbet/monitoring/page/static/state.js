// What all sections of the page share: the data of api/overview, and what a reader has chosen to see.

export const page = { overview: null };

// The choices stand in the address, so that a link shows the same. A choice that is the usual one is left out.
const chosen = new URLSearchParams(location.search);

export const choice = (name, usual = "") => chosen.get(name) ?? usual;

// A choice among some names. An address with another name means the usual one.
export const choiceAmong = (name, names, usual) => (names.includes(chosen.get(name)) ? chosen.get(name) : usual);

export function choose(changes) {
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") chosen.delete(name);
    else chosen.set(name, value);
  }
  const query = chosen.toString();
  history.replaceState(null, "", query ? `?${query}` : location.pathname);
}
