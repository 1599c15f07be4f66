# The rules of markdownlint, but for: the length of a line, which links, tables and output make long;
# headings that are a message of the program, with its full stop; tabs in a code block.
all
exclude_rule 'MD013'
rule 'MD026', punctuation: '.,;'
rule 'MD029', style: 'ordered'
