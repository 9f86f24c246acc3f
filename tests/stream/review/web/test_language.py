"""The page speaks the language that the person has chosen, else the browser's, else the
laboratory's.
"""


def spoken(client, header="", path="/"):
    page = client.get(path, headers={"Accept-Language": header}).text
    return page.split('<html lang="', 1)[1][:2]


def test_the_browser_asks_and_the_laboratory_has_its_own(open_lab):
    lab = open_lab(language="de")
    assert spoken(lab.one) == "de"
    assert spoken(lab.one, "en-GB,en;q=0.9") == "en"
    assert spoken(lab.one, "fr") == "de"


def test_what_a_person_chooses_is_kept_and_theirs_alone(open_lab):
    lab = open_lab("accounts")
    ada = lab.person("ada")
    bert = lab.person("bert")
    ada.post("/api/preferences", {"language": "de"})
    assert spoken(ada, "en") == "de" and spoken(bert, "en") == "en"
    assert spoken(lab.stranger(), "de", "/login") == "de"
    assert ada.post("/api/preferences", {"language": "xx"}).status_code == 422


def test_page_and_report_are_german(lab):
    slide = f"/slides/{lab.made.slide.slide_id}"
    for path, words in [
        ("/", "Arbeitsliste"),
        (slide, "Zelle markieren"),
        (f"{slide}/red", "Erythrozytenformen"),
        (f"{slide}/report", "VORLÄUFIG, Version 1: nicht signiert"),
    ]:
        page = lab.one.get(path, headers={"Accept-Language": "de"}).text
        assert words in page and 'id="texts"' in page
    report = lab.one.get(f"{slide}/report", headers={"Accept-Language": "de"}).text
    assert "wurde von einer Person geprüft" in report and "Monozyt" in report
    assert 'id="texts"' not in lab.one.get(slide).text
