// Light or dark, before anything is drawn: the reader's choice, or else the system's.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem("optimlab-theme");
  } catch {} // a page on a disk may have no storage
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = theme ?? (dark ? "dark" : "light");
})();
