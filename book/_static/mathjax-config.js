window.MathJax = {
  loader: { load: ["input/tex", "output/chtml", "a11y/assistive-mml"] },
  tex: { inlineMath: [["\\(", "\\)"]], displayMath: [["\\[", "\\]"]], processEnvironments: false, processRefs: false },
  options: { ignoreHtmlClass: "tex2jax_ignore|bd-article-container", processHtmlClass: "math" },
};
