/** Paths without reloading: links of this page stay in it, everything else leaves it. */

/**
 * @param {(path: string) => boolean} isOurs whether a path is shown by this page
 * @param {() => void} arrived called after the address has changed
 */
export function follow(isOurs, arrived) {
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
    if (!(link instanceof HTMLAnchorElement) || event.defaultPrevented || !isPlain(event) || link.target !== "") return;
    if (link.origin !== location.origin || !isOurs(link.pathname) || link.hash !== "") return;
    event.preventDefault();
    if (link.pathname !== location.pathname) history.pushState(null, "", link.pathname);
    scrollTo(0, 0);
    arrived();
  });
  addEventListener("popstate", arrived);
}

/**
 * Names the page after what it shows, and takes those who cannot see it there.
 * @param {HTMLElement} main
 * @param {{focus: boolean}} options
 */
export function announce(main, { focus }) {
  const heading = main.querySelector("h1");
  document.title = heading === null ? "To-dos" : `${heading.textContent} · To-dos`;
  for (const link of document.querySelectorAll("header nav a")) {
    const isHere = link.getAttribute("href") === location.pathname;
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!focus || heading === null) return;
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
}

/**
 * A click that is meant to stay in this tab.
 * @param {MouseEvent} event
 */
export function isPlain(event) {
  return event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
}
