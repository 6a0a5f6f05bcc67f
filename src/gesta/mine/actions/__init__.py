"""Action lists: read from anywhere, joined, checked, merged by recorded decisions, grouped, and the papers' own."""

from gesta.mine.actions.check import Checked, Finding, check_actions, write_findings
from gesta.mine.actions.gerunds import FORMS, Form, gerund_of, infinitive_of, named_in_form, to_infinitive, to_ing
from gesta.mine.actions.keys import RULES, key_of, stem_of, stems_of, synonym_keys, without_asides
from gesta.mine.actions.lists import (
    Action,
    ActionList,
    Origin,
    action_list,
    is_action_list,
    joined,
    read_action_list,
    write_actions,
)
from gesta.mine.actions.merging import (
    Decision,
    merged_actions,
    origins_of,
    proposed_decisions,
    read_decisions,
    write_decisions,
)
from gesta.mine.actions.names import readable_name
from gesta.mine.actions.overlaps import (
    Family,
    General,
    Overlap,
    families_in,
    general_names,
    overlaps_in,
    verb_and_object,
)
from gesta.mine.actions.parents import Grouped, printed_groups, read_groups, with_parents
from gesta.mine.actions.readers import label_map_of, read_actions, read_all_actions
from gesta.mine.actions.shipped import ACTION_LISTS, SHIPPED, shipped_actions, shipped_table, what_is_shipped
from gesta.mine.actions.synonyms import Synonym, SynonymTable, read_synonyms, shipped_synonyms
from gesta.mine.actions.together import Company, company_of, units_of, units_of_work
from gesta.mine.actions.twins import Twin, twins_in
from gesta.mine.actions.writing import in_form, renumbered, write_list

__all__ = [
    "ACTION_LISTS", "FORMS", "RULES", "SHIPPED", "Action", "ActionList", "Checked", "Company", "Decision", "Family",
    "Finding", "Form", "General", "Grouped", "Origin", "Overlap", "Synonym", "SynonymTable", "Twin", "action_list",
    "check_actions", "company_of", "families_in", "general_names", "gerund_of", "in_form", "infinitive_of",
    "is_action_list", "joined", "key_of", "label_map_of", "merged_actions", "named_in_form", "origins_of",
    "overlaps_in", "printed_groups", "proposed_decisions", "read_action_list", "read_actions", "read_all_actions",
    "read_decisions", "read_groups", "read_synonyms", "readable_name", "renumbered", "shipped_actions",
    "shipped_synonyms", "shipped_table", "stem_of", "stems_of", "synonym_keys", "to_infinitive", "to_ing", "twins_in",
    "units_of", "units_of_work", "verb_and_object", "what_is_shipped", "with_parents", "without_asides",
    "write_actions", "write_decisions", "write_findings", "write_list",
]  # fmt: skip
