/**
 * Light and dark: the system's preference, until the user chooses. Loaded with `blocking="render"`, so that the page does
 * not flash.
 */

const STORED = "chatscale.theme";
const preference = matchMedia("(prefers-color-scheme: dark)");

/** @returns {"light" | "dark"} the theme that is shown */
export function currentTheme() {
  const stored = read();
  return stored === "light" || stored === "dark" ? stored : preference.matches ? "dark" : "light";
}

/** Change to the other theme, and remember it unless it equals the system's preference. */
export function toggleTheme() {
  const next = currentTheme() === "dark" ? "light" : "dark";
  try {
    if (next === (preference.matches ? "dark" : "light")) localStorage.removeItem(STORED);
    else localStorage.setItem(STORED, next);
  } catch {
    // Without storage the choice lasts until the page is closed.
  }
  apply(next);
}

/** @param {string} [theme] */
function apply(theme = currentTheme()) {
  document.documentElement.dataset.theme = theme;
  document.dispatchEvent(new CustomEvent("themechange", { detail: theme }));
}

function read() {
  try {
    return localStorage.getItem(STORED);
  } catch {
    return null;
  }
}

preference.addEventListener("change", () => apply());
apply();
