/** The list of chats on a phone: a drawer over the page. On wide screens it is always visible. */

import { byId } from "../shared/dom.js";

/** @returns {{close: () => boolean}} close: whether it was open */
export function connectDrawer() {
  const sidebar = byId("sidebar");
  const wide = matchMedia("(min-width: 800px)");
  let isOpen = false;

  const apply = () => {
    const shown = wide.matches || isOpen;
    sidebar.classList.toggle("open", isOpen);
    sidebar.inert = !shown;
    byId("main").inert = !wide.matches && isOpen;
    byId("shade").hidden = wide.matches || !isOpen;
    byId("side-open").setAttribute("aria-expanded", String(isOpen));
  };
  const close = () => {
    const was = isOpen && !wide.matches;
    isOpen = false;
    apply();
    if (was) byId("side-open").focus();
    return was;
  };
  byId("side-open").addEventListener("click", () => {
    isOpen = true;
    apply();
    byId("side-close").focus();
  });
  byId("side-close").addEventListener("click", close);
  byId("shade").addEventListener("click", close);
  wide.addEventListener("change", apply);
  apply();
  return { close };
}
