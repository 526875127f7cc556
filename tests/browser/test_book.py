"""The published book in a real browser: both editions, light and dark, wide and narrow, with and without a server."""

import functools
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlparse

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
LANGUAGES = ("zh", "en")


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """The folder of a freshly built book."""
    out = tmp_path_factory.mktemp("book") / "_build"
    done = subprocess.run([sys.executable, ROOT / "book/build.py", "--out", out], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return out / "html"


@contextmanager
def serving(folder, lost):
    """A folder on this machine, under the address that it gives; ``lost`` answers where there is nothing, as on GitHub Pages."""

    class Pages(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def send_error(self, code, message=None, explain=None):
            body = lost.read_bytes()
            self.send_response(code)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else body)

    running = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Pages, directory=folder))
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


@pytest.fixture(scope="module")
def server(html):
    """The address of the book on this machine."""
    with serving(html, html / "404.html") as address:
        yield address


@contextmanager
def window(chromium, **options):
    """A fresh window; at its end nothing may have gone wrong, nor asked for anything elsewhere."""
    context = chromium.new_context(
        **({"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"} | options)
    )
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.wrong, page.asked = [], []
    page.on("console", lambda m: page.wrong.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("response", lambda r: page.wrong.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    try:
        yield page
        assert not page.wrong, page.wrong
        hosts = {urlparse(url).hostname for url in page.asked if not url.startswith(("data:", "blob:"))}
        assert hosts <= {"127.0.0.1", None, ""}, hosts  # None: a file
    finally:
        context.close()


def show(page, address):
    """Open a page and wait until its formulas are set."""
    page.goto(address)
    page.evaluate("Promise.resolve(window.MathJax?.startup?.promise)")
    page.wait_for_timeout(50)


def pages(html, lang):
    return sorted(str(path.relative_to(html)) for path in (html / lang).rglob("*.html"))


def lessons(html, lang):
    return [name for name in pages(html, lang) if re.match(r"\d\d_", Path(name).name)]


def barriers(results, name):
    """What axe-core found: page, rule and element, with its reason."""
    violations = results.response["violations"]
    return {(name, v["id"], n["html"][:150]): n["failureSummary"] for v in violations for n in v["nodes"]}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_page(chromium, server, html, lang):
    """No error, no third party, light enough, no barrier that axe-core knows of, no sideways scrolling on a telephone."""
    from axe_playwright_python.sync_playwright import Axe

    axe, found = Axe(), {}
    assert len(pages(html, lang)) >= len(list((ROOT / "notebooks").glob("[0-9]*.ipynb"))) + 6
    for name in pages(html, lang):
        with window(chromium) as page:
            show(page, f"{server}/{name}")
            page.wait_for_function("document.readyState == 'complete'")
            weight = page.evaluate(
                "performance.getEntries().reduce((sum, entry) => sum + (entry.decodedBodySize ?? 0), 0)"
            )
            assert 100_000 < weight < 3_000_000, (name, weight)  # the page and all that it loads, unpacked
            assert (
                page.title()
                and page.locator("h1").count() == 1
                and page.locator("html").get_attribute("lang")[:2] == lang
            )
            found |= barriers(axe.run(page, options={"resultTypes": ["violations"]}), name)
            page.click("#book-dark")
            only = {"runOnly": ["color-contrast"], "resultTypes": ["violations"]}
            found |= barriers(axe.run(page, {"exclude": [["mjx-container"]]}, only), f"{name}, dark")
            page.set_viewport_size({"width": 390, "height": 844})
            page.wait_for_timeout(100)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
    assert not found, "\n".join(f"{key}: {value}" for key, value in found.items())


def test_links_lead_somewhere_and_nothing_runs_inline(html):
    """Every link of both editions, those to formulas included; scripts are files, as the policy demands."""
    ids, links = {}, []
    for path in html.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        ids[path] = set(re.findall(r' id="([^"]+)"', text))
        links += [(path, link) for link in re.findall(r' (?:href|src)="([^"]+)"', text)]
        inline = re.search(
            r"<script(?! (?:defer )?src=)|<[^>]* on\w+=", text
        )  # the page for lost addresses has no other way
        assert "default-src 'self'" in text and bool(inline) == (path.name == "404.html"), path
    for path, link in links:
        address = urlparse(link)
        if address.scheme in ("https", "data"):  # a reader may follow it; loading is what other tests look at
            continue
        target = (path.parent / unquote(address.path)).resolve() if address.path else path
        assert not address.scheme and target.exists(), (path, link)
        assert not address.fragment or unquote(address.fragment) in ids[target], (path, link)
    assert any(link.startswith("#eq-") for _, link in links)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_downloads(html, lang):
    """Each lesson as a notebook in the edition's language, with links between them that work."""
    names = {path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}
    assert {path.name for path in (html / lang / "notebooks").iterdir()} == {f"{name}.{lang}.ipynb" for name in names}
    for path in (html / lang / "notebooks").iterdir():
        nb = nbformat.read(path, 4)
        nbformat.validate(nb)
        text = "\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")
        chinese = len(re.findall("[\u4e00-\u9fff]", text))
        assert (chinese > 1000) if lang == "zh" else (chinese == 0), (path.name, chinese)
        assert all((path.parent / link).exists() for link in re.findall(r"\]\((\w[\w.]+\.ipynb)", text))


def test_wide_formulas_scroll_alone(chromium, server, html):
    with window(chromium, viewport={"width": 390, "height": 844}) as page:
        wide = 0
        for name in lessons(html, "zh"):
            show(page, f"{server}/{name}")
            page.wait_for_function("document.readyState == 'complete'")
            page.wait_for_timeout(100)
            boxes = page.evaluate(
                """[...document.querySelectorAll("article div.math")].map(box => ({
                    wide: box.scrollWidth > box.clientWidth, reached: box.tabIndex == 0,
                    inside: box.getBoundingClientRect().right <= innerWidth,
                    left: [...box.querySelectorAll("mjx-math")][0].getBoundingClientRect().left}))"""
            )
            assert boxes or "00" not in name
            for box in boxes:
                assert box["inside"] and box["left"] >= 0 and box["wide"] == box["reached"], (name, box)
                wide += box["wide"]
        assert wide  # else nothing was tested


def test_no_line_begins_with_the_comma_after_a_formula(chromium, server, html):
    """Nor ends with the bracket before one: in Chinese both are faults of typesetting."""
    apart = """[...document.querySelectorAll("article span.math")].flatMap(math => {
        const range = document.createRange(), [before, after] = [math.previousSibling, math.nextSibling], rows = [];
        if (/^[，。、；：！？）”》]/.test(after?.nodeValue ?? "")) rows.push([after, 0]);
        if (/[（“《]$/.test(before?.nodeValue ?? "")) rows.push([before, before.length - 1]);
        return rows.map(([node, i]) => {
            range.setStart(node, i), range.setEnd(node, i + 1);
            const [mark, box] = [range.getBoundingClientRect(), math.getBoundingClientRect()];
            return mark.bottom < box.top || mark.top > box.bottom ? math.textContent + node.nodeValue : "";
        });
    })"""
    with window(chromium) as page:
        for name in lessons(html, "zh"):
            show(page, f"{server}/{name}")
            for width in (360, 390, 412):
                page.set_viewport_size({"width": width, "height": 844})
                page.wait_for_timeout(100)
                found = page.evaluate(apart)
                assert found or "00" in name
                assert not any(found), (name, width, [*filter(None, found)])


@pytest.mark.parametrize("lang", LANGUAGES)
def test_players(chromium, server, html, lang):
    """A slider changes the picture, by mouse and by keyboard; every picture has words in the page's language."""
    with window(chromium) as page:
        for name in [*lessons(html, lang), f"{lang}/index.html"]:
            show(page, f"{server}/{name}")
            player = page.locator(".lab-player").first
            if not player.count():
                continue
            player.scroll_into_view_if_needed()
            image, slider = player.locator(".lab-front"), player.locator("input").first
            output, goal = player.locator("output").first, player.locator(".lab-goal")
            seen = [(image.get_attribute("src"), output.inner_text())]
            box = slider.bounding_box()
            page.mouse.click(box["x"] + box["width"] * 0.7, box["y"] + box["height"] / 2)
            seen.append((image.get_attribute("src"), output.inner_text()))
            page.keyboard.press("ArrowRight")
            seen.append((image.get_attribute("src"), output.inner_text()))
            assert len({src for src, _ in seen}) == len({text for _, text in seen}) == 3, name
            assert slider.get_attribute("aria-valuetext") == seen[-1][1]
            page.wait_for_function(
                "image => image.naturalWidth == 2 * image.getAttribute('width')", arg=image.element_handle()
            )
            under = player.locator(".lab-back:visible")
            assert under.bounding_box() == image.bounding_box() and under.get_attribute("alt") == ""
            for _ in range(2):  # light and dark: what lies below is seen
                assert image.evaluate("image => getComputedStyle(image).backgroundColor") == "rgba(0, 0, 0, 0)"
                page.click("#book-dark")
            assert bool(re.search("[\u4e00-\u9fff]", goal.inner_text())) == (lang == "zh")
            for alt in page.locator("article img:not(.lab-back)").evaluate_all(
                "images => images.map(image => image.alt)"
            ):
                assert alt and bool(re.search("[\u4e00-\u9fff]", alt)) == (lang == "zh"), alt


def test_a_guess_comes_before_the_result(chromium, server):
    """Lesson 00 without a kernel: results are covered until the reader guesses, and the guess is compared."""
    with window(chromium) as page:
        show(page, f"{server}/zh/00_start_here.html")
        question, verdict = page.locator(".lab-predict").first, page.locator(".lab-verdict").first
        covered = page.locator(".lab-covered").count()
        assert verdict.is_hidden() and covered >= 2
        question.get_by_role("button", name="B", exact=True).click()
        assert "你猜 B，结果是 C" in verdict.inner_text() and page.locator(".lab-covered").count() < covered
        question.get_by_role("button", name="C", exact=True).click()
        assert "猜对了：C" in verdict.inner_text() and "你猜" not in verdict.inner_text()
        assert question.locator('[aria-pressed="true"]').all_inner_texts() == ["C"]
        skip = page.get_by_role("button", name="先在上面猜一猜，或点这里看结果")
        skip.first.click()
        assert page.locator(".lab-verdict").nth(1).inner_text().startswith("→ 结果是")
        while skip.count():
            skip.first.click()
        assert not page.locator(".lab-covered").count()


PLACE = """() => {
    const i = blocks.findLastIndex(block => block.getBoundingClientRect().top <= 70);
    return [i, blocks[i]?.tagName ?? null, blocks.length];
}"""


def test_switch_stays_on_the_page_and_place(chromium, server, html):
    """From any place in one edition to the same block in the other, and back; every page has its counterpart."""
    assert [name[3:] for name in pages(html, "zh")] == [name[3:] for name in pages(html, "en")]
    with window(chromium) as page:
        for name in [*lessons(html, "zh"), "zh/api/optimlab.optim.html", "zh/glossary.html"]:
            for share in (0, 0.37, 0.81):
                show(page, f"{server}/{name}")
                page.evaluate(f"scrollTo(0, {share} * (document.body.scrollHeight - innerHeight))")
                before, y = page.evaluate(PLACE), page.evaluate("scrollY")
                page.click("#book-language")
                page.wait_for_url(f"**/en/{name[3:]}*")
                if y > 3:
                    page.wait_for_function("document.documentElement.dataset.arrived == 'yes'")
                after = page.evaluate(PLACE)
                assert after == before and (share == 0) == (page.evaluate("scrollY") < 4), (name, share, before, after)
                assert "#" not in page.url
        page.goto(f"{server}/zh/search.html?q=SGD")
        page.click("#book-language")
        page.wait_for_url("**/en/search.html?q=SGD")


FIND = {
    "zh": {
        "动量": "04_momentum", "谱半径": "04_momentum", "条件数": "04_momentum", "阻尼": "04_momentum",
        "带着惯性": "04_momentum", "先往前看一步": "04_momentum", "第一步与 dampening": "04_momentum",
        "学习率放在里面还是外面": "04_momentum", "有效步长": "04_momentum", "速度是过去梯度的加权和": "04_momentum",
        "两根之积": "04_momentum", "复数根的大小": "04_momentum", "稳定要求": "04_momentum", "不用动量": "04_momentum",
        "调好之后": "04_momentum", "SGD 的参数": "04_momentum", "蒙着眼睛": "00_start_here", "手写数字": "00_start_here",
        "负梯度": "00_start_here", "柯西": "00_start_here", "越走越远": "00_start_here", "小球从右侧出发": "00_start_here",
        "学习率的上限": "00_start_here", "梯度下降": "00_start_here", "等高线": "00_start_here", "笔记": "00_start_here",
        "谷": "00_start_here", "术语表": "glossary", "预热": "glossary", "余弦": "api/optimlab.optim.lr_scheduler",
    },
    "en": {
        "momentum": "04_momentum", "spectral radius": "04_momentum", "condition number": "04_momentum",
        "dampening": "04_momentum", "complex roots": "04_momentum", "look ahead": "04_momentum",
        "effective steps": "04_momentum", "blindfolded": "00_start_here", "handwritten digits": "00_start_here",
        "steepest descent": "00_start_here", "Cauchy": "00_start_here", "contours": "00_start_here",
        "CosineAnnealingLR": "api/optimlab.optim.lr_scheduler", "CrossEntropyLoss": "api/optimlab.nn",
        "glossary": "glossary",
    },
}  # fmt: skip


@pytest.mark.parametrize("lang", LANGUAGES)
def test_search_finds(chromium, server, lang):
    """Each query has its page among the first three; what is nowhere is not found; an exact phrase comes first."""
    assert len(FIND["zh"]) >= 30 and len(FIND["en"]) >= 15
    with window(chromium) as page:
        page.goto(f"{server}/{lang}/index.html")
        page.fill(".book-side input", "SGD")
        page.keyboard.press("Enter")
        page.wait_for_url("**/search.html?q=SGD")
        links = page.locator("#book-results a")
        assert links.count() > 3

        def search(query):
            page.fill("#book-query", query)
            return [urlparse(a).path for a in links.evaluate_all("links => links.map(link => link.href)")]

        found = {query: search(query)[:3] for query in FIND[lang]}
        missed = {
            query: paths
            for query, paths in found.items()
            if not any(path.endswith(f"/{lang}/{FIND[lang][query]}.html") for path in paths)
        }
        assert not missed, missed
        for nonsense in ("蓝鲸沙发" if lang == "zh" else "quuxly frobnitz", "zzqx", "😀", "$&$`"):
            assert search(nonsense) == [] and nonsense in page.locator("#book-found").inner_text()
        assert search("") == [] and search("   ") == []
        assert search("<img src=x onerror=alert(1)>") == []  # shown as text: nothing runs, nothing is fetched
        for query, many in (("学习率" if lang == "zh" else "learning rate", True), ("dampening", False)):
            search(query)
            n, *shown = (int(n) for n in re.findall(r"\d+", page.locator("#book-found").inner_text()))
            assert links.count() == min(n, 40) and bool(shown) == (n > 40) == many, (query, n, shown)
        phrase = "条件数" if lang == "zh" else "learning rate"
        search(phrase)
        exact = [
            "true" if phrase in text.lower() else "false" for text in page.locator("#book-results li").all_inner_texts()
        ]
        assert exact == sorted(exact, reverse=True) and exact[0] == "true"
        page.fill("#book-query", FIND and next(iter(FIND[lang])))
        links.first.click()
        page.wait_for_url(f"**/{lang}/**")
        target = unquote(urlparse(page.url).fragment)
        assert not target or page.evaluate("id => document.getElementById(id) !== null", target)


@pytest.mark.parametrize("languages, wanted", [("zh-CN", "zh"), ("en-GB", "en"), ("fr-FR", "en"), ("zh-Hant-TW", "zh")])
def test_start_page_takes_the_browsers_language_and_remembers(chromium, server, languages, wanted):
    with window(chromium, locale=languages) as page:
        page.goto(f"{server}/index.html")
        page.wait_for_url(f"**/{wanted}/index.html")
        page.click("#book-language")
        other = {"zh": "en", "en": "zh"}[wanted]
        page.wait_for_url(f"**/{other}/index.html*")
        page.goto(f"{server}/index.html")
        page.wait_for_url(f"**/{other}/index.html")
        page.goto(f"{server}/index.html?choose")
        page.click(f"a[hreflang={wanted}]")
        page.wait_for_url(f"**/{wanted}/index.html")
        page.goto(f"{server}/")
        page.wait_for_url(f"**/{wanted}/index.html")


def test_start_pages_have_no_barrier(chromium, server):
    from axe_playwright_python.sync_playwright import Axe

    for scheme in ("light", "dark"):
        with window(chromium, color_scheme=scheme, viewport={"width": 390, "height": 844}) as page:
            for name in ("index.html?choose", "404.html"):
                page.goto(f"{server}/{name}")
                found = barriers(Axe().run(page, options={"resultTypes": ["violations"]}), name)
                assert not found, found
                assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("folder", ["", "/optimlab", "/a/b"])
def test_a_lost_address_is_answered_at_any_depth(chromium, html, tmp_path, folder):
    """404.html, under whatever address was asked for: its links lead into both editions."""
    root = tmp_path / f"www{folder}"
    root.parent.mkdir(parents=True, exist_ok=True)
    root.symlink_to(html, target_is_directory=True)
    with serving(tmp_path / "www", html / "404.html") as address:
        for lost in ("nothing", "zh/05_nothing.html", "en/api/nothing.html?q=1#x", "no/such/deep/page/", "/x.org/y"):
            for lang in LANGUAGES:
                context = chromium.new_context()
                page, asked = context.new_page(), set()
                page.on("request", lambda request, asked=asked: asked.add(urlparse(request.url).hostname))
                assert page.goto(f"{address}{folder}/{lost}").status == 404
                page.click(f"a[href^='http'][href$='{lang}/index.html']")
                page.wait_for_url(f"{address}{folder}/{lang}/index.html")
                assert page.locator("h1").is_visible() and asked == {"127.0.0.1"}
                context.close()


def test_from_a_disk(chromium, html):
    """Without a server: the start page, formulas, the slider, the switch and the search."""
    with window(chromium, locale="zh-CN") as page:
        page.goto((html / "index.html").as_uri())
        page.wait_for_url("**/zh/index.html")
        show(page, (html / "zh/04_momentum.html").as_uri())
        assert page.locator("mjx-container").count() > 50 and not page.locator("mjx-merror").count()
        image, slider = page.locator(".lab-front").first, page.locator(".lab-player input").first
        before = image.get_attribute("src")
        slider.focus()
        page.keyboard.press("ArrowRight")
        assert image.get_attribute("src") != before
        page.evaluate("scrollTo(0, 3000)")
        place = page.evaluate(PLACE)
        page.click("#book-language")
        page.wait_for_url("**/en/04_momentum.html")
        page.wait_for_function("document.documentElement.dataset.arrived == 'yes'")
        assert page.evaluate(PLACE) == place
        page.fill(".book-side input", "spectral radius")
        page.keyboard.press("Enter")
        page.wait_for_url("**/search.html?q=spectral+radius")
        assert page.locator("#book-results a").first.get_attribute("href").startswith("04_momentum.html#")


def test_dark_menu_keyboard_and_print(chromium, server):
    with window(chromium, color_scheme="dark", viewport={"width": 390, "height": 844}) as page:
        page.goto(f"{server}/zh/04_momentum.html")
        theme = page.locator("html").get_attribute
        assert theme("data-theme") == "dark"  # as the system says
        page.click("#book-dark")
        page.reload()
        assert theme("data-theme") == "light"  # as the reader said
        menu = page.locator("#pst-primary-sidebar-modal")
        assert not menu.is_visible()
        page.click("#book-menu")
        menu.get_by_role("link", name="术语表").click()
        page.wait_for_url("**/glossary.html")
        page.click("#book-menu")
        page.keyboard.press("Escape")
        page.wait_for_selector("#pst-primary-sidebar .book-name", state="attached")  # back when the dialog has closed
        assert not menu.is_visible()
        page.keyboard.press("Control+k")
        page.wait_for_function("document.activeElement.name == 'q'")
        page.keyboard.press("Escape")
        page.emulate_media(media="print")
        assert not page.locator(".book-bar").is_visible() and page.locator("article h1").is_visible()
        assert page.locator("#pst-primary-sidebar").is_hidden()


def test_without_scripts_the_text_is_there(chromium, server):
    with window(chromium, java_script_enabled=False) as page:
        page.goto(f"{server}/en/00_start_here.html")
        assert page.locator("article").inner_text().count("learning rate") > 3
        assert "Without JavaScript" in page.locator("noscript").inner_text()
        assert page.locator(".lab-front").evaluate("image => image.naturalWidth") > 100
        page.click("#book-language")
        page.wait_for_url("**/zh/00_start_here.html")
        page.goto(f"{server}/index.html")
        page.click("text=English")
        page.wait_for_url("**/en/index.html")
