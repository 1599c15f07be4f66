# The rules of markdownlint, but for: the length of a line, which scripts/wrap-markdown.pl checks; headings
# that are a message of the program, with its full stop; headings that every version of the changelog has.
all
exclude_rule 'MD013'
rule 'MD024', allow_different_nesting: true
rule 'MD026', punctuation: '.,;'
rule 'MD029', style: 'ordered'
