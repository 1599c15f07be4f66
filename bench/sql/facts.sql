-- All facts of every document, by the extension.
SELECT count((cowrie_enrichment_facts(enrichment)).asn) FROM readable;
