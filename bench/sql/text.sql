-- What no reader can do without: fetch and decompress every document.
SELECT sum(length(enrichment::text)) FROM readable;
