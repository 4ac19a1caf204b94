"""Read full texts in JATS, the XML of PubMed Central: articles to sections, sections to passages."""
