#!/usr/bin/env python3
"""Writes the binary fixtures of the documents tests.

    python3 tools/reference/make_document_fixtures.py Tests/DocumentsTests/Fixtures

Written with Python 3.11's zipfile, so that the reader is tested against archives that another
implementation compressed. Dates are fixed: the files are the same on every run.
"""
import sys
import zipfile
from pathlib import Path

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def paragraph(text, style=None, extra=""):
    properties = f'<w:pPr><w:pStyle w:val="{style}"/>{extra}</w:pPr>' if style or extra else ""
    return f'<w:p>{properties}<w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def row(*cells):
    return "<w:tr>" + "".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in cells) + "</w:tr>"


DOCUMENT = f"""<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<w:document {W} xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"><w:body>
{paragraph("Bees &amp; honey", "berschrift1")}
<w:p><w:r><w:t>A hive holds </w:t></w:r><w:r><w:rPr><w:b/></w:rPr><w:t>forty thousand</w:t></w:r><w:r><w:t xml:space="preserve"> bees.</w:t></w:r></w:p>
<w:p><w:r><w:t>Kept.</w:t></w:r><w:del><w:r><w:delText>Deleted.</w:delText></w:r></w:del><mc:AlternateContent><mc:Choice><w:r><w:t> Once.</w:t></w:r></mc:Choice><mc:Fallback><w:r><w:t> Twice.</w:t></w:r></mc:Fallback></mc:AlternateContent></w:p>
{paragraph("Harvest", "berschrift2")}
<w:tbl>{row("Month", "Kilograms")}{row("May", "12")}{row("June", "31")}</w:tbl>
<w:p><w:r><w:t>First</w:t><w:br/><w:t>second&#8230;</w:t></w:r></w:p>
</w:body></w:document>"""

STYLES = f"""<w:styles {W}>
<w:style w:type="paragraph" w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
<w:style w:type="paragraph" w:styleId="berschrift2"><w:name w:val="heading 2"/></w:style>
</w:styles>"""

CORE = """<cp:coreProperties xmlns:cp="c" xmlns:dc="d"><dc:title>The apiary</dc:title></cp:coreProperties>"""


def write(path, entries):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in entries.items():
            info = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, text, compresslevel=9)


def main():
    folder = Path(sys.argv[1])
    write(folder / "apiary.docx", {
        "word/document.xml": DOCUMENT, "word/styles.xml": STYLES, "docProps/core.xml": CORE})
    write(folder / "bomb.docx", {"word/document.xml": b" " * (24 << 20)})


main()
