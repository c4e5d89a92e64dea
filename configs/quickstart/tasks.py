"""The task kinds of the quickstart pool by name."""

import tasks_forms
import tasks_knowledge
import tasks_lookup
import tasks_numbers
import tasks_text
import tasks_writing
from example import Task

TASKS: dict[str, Task] = {
    task.__name__: task
    for task in (
        tasks_numbers.arithmetic,
        tasks_numbers.multiplication,
        tasks_numbers.word_problem,
        tasks_numbers.divisibility,
        tasks_numbers.sequence,
        tasks_numbers.unit_conversion,
        tasks_numbers.number_sorting,
        tasks_numbers.comparison,
        tasks_numbers.counting,
        tasks_forms.word_sorting,
        tasks_forms.string_edit,
        tasks_forms.list_edit,
        tasks_forms.json_format,
        tasks_forms.csv_format,
        tasks_forms.code_reading,
        tasks_forms.weekday,
        tasks_forms.date_format,
        tasks_forms.clock,
        tasks_lookup.table_lookup,
        tasks_lookup.passage_lookup,
        tasks_lookup.profile,
        tasks_lookup.extraction,
        tasks_lookup.summary,
        tasks_text.passive,
        tasks_text.tense,
        tasks_text.plural,
        tasks_text.sentiment,
        tasks_text.odd_one_out,
        tasks_text.grouping,
        tasks_text.syllogism,
        tasks_text.ordering,
        tasks_knowledge.definition,
        tasks_knowledge.claim_check,
        tasks_knowledge.capitals,
        tasks_writing.letter,
        tasks_writing.story,
    )
}
