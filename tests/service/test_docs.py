"""The documents say what the code does."""

from pathlib import Path

from service.settings import ServiceSettings

ROOT = Path(__file__).resolve().parents[2]


def test_every_setting_is_in_the_table():
    table = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for name, field in ServiceSettings.model_fields.items():
        row = next((line for line in table.splitlines() if line.startswith(f"| `CUP4SOIL_{name.upper()}` |")), None)
        assert row, name
        if isinstance(field.default, int) and not isinstance(field.default, bool):
            assert str(field.default) in row.replace(" ", "").replace("\u00a0", "")


def test_links_of_the_documents_lead_somewhere():
    for document in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")):
        for part in document.read_text(encoding="utf-8").split("](")[1:]:
            target = part.split(")")[0].split("#")[0]
            if target and not target.startswith("http"):
                assert (document.parent / target).exists(), (document.name, target)
