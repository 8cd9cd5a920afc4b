// Light or dark: as the UI around the page, or else as the reader's system. `changed` is called when it changes.
export function followTheme(changed) {
  const apply = () => {
    let theme = null;
    try {
      const root = window.parent.document.documentElement;
      if (window.parent !== window) theme = root.classList.contains("dark") ? "dark" : root.classList.contains("light") ? "light" : null;
    } catch { /* another origin */ }
    if (!theme) theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const dark = theme === "dark";
    if (document.documentElement.classList.contains("dark") !== dark) {
      document.documentElement.classList.toggle("dark", dark);
      changed();
    }
  };
  apply();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
  try {
    if (window.parent !== window) {
      new MutationObserver(apply).observe(window.parent.document.documentElement, { attributes: true, attributeFilter: ["class"] });
    }
  } catch { /* another origin */ }
}
