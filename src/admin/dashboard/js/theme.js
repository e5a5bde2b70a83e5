// Dark or light: the system's choice, until one is made here. Loaded before the first paint.

const NAME = "weir-theme";

function stored() {
  try {
    return localStorage.getItem(NAME);
  } catch {
    return null; // No storage is allowed: the choice lasts as long as the page.
  }
}

export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

export function toggle() {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem(NAME, theme);
  } catch {
    // As above.
  }
  dispatchEvent(new Event("theme"));
}

const before = stored();
if (before === "dark" || before === "light") document.documentElement.dataset.theme = before;
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("theme")));
