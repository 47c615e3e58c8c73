#!/usr/bin/env python3
"""Switches the rules of authz/ off one by one, and says whether a test fails for each.

A copy of the tree is built beside this one; nothing here is changed. Every entry names a rule, a file, a text that must stand there exactly
once, and what is put in its place. A mutant that no test notices is a rule that nobody tests.

usage: tests/authz/mutation.py [--build DIRECTORY] [--only TEXT] [--some COUNT] [--list] [--check] [--wrapper WORDS]
Exit 0: a test failed for every mutant. 1: for some it did not, or they do not compile and so tried nothing (they are listed), or an entry no
longer fits the code.
With --some as many as that are drawn, by TALLY_SEED if it is set.
"""
import argparse
import os
import pathlib
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOES_NOT_COMPILE = "(does not compile)"
TARGETS = ("authz_test", "authz_commands_test")

D, S, T, O = "authz/decision.cpp", "authz/subject.cpp", "authz/detail/subject_tables.hpp", "authz/object.cpp"
G, TC, A, SC = "authz/detail/gathered_level.cpp", "authz/detail/subject_tables.cpp", "authz/allow_list.cpp", "authz/scope.cpp"
R, C, RA, F = "authz/role.cpp", "authz/custom_role.cpp", "authz/role_assignment.cpp", "authz/filter.cpp"
Q, Y, U, RT = "authz/filter_sql.cpp", "authz/system_subject.cpp", "authz/detail/uuid_text.cpp", "authz/detail/role_tables.hpp"

# rule, file, text, replacement
MUTANTS = [
    # Part one: votes, levels, verdicts
    ("a negative beats a grant in one level", G, "(votes_.allow[i] | allow_any) & ~votes_.deny[i]", "(votes_.allow[i] | allow_any)"),
    ("a negative on every type reaches each", G, "votes_.deny[i] |= deny_any;", ""),
    ("a grant on every type reaches each", G, "(votes_.allow[i] | allow_any) &", "votes_.allow[i] &"),
    ("* as an action is every action", G, "action == Action::any ? kEveryAction : bit(action)", "bit(action)"),
    ("permissions with unknown words count", G, "odd_.push_back({each.resource_type, each.action, each.negate ? -1 : 1});", ""),
    ("a negative of unknown words counts as one", G, "each.negate ? -1 : 1", "1"),
    ("the site's negative denies all below", D, "vote > 0 ? Reason::site_role : Reason::site_negative", "Reason::site_role"),
    ("a site grant allows", D, "vote > 0 ? Reason::site_role : Reason::site_negative", "Reason::site_negative"),
    ("the user level needs the subject to own it", D, "owned_ && object_.org.empty() && !object_.any_org", "object_.org.empty() && !object_.any_org"),
    ("the user level never reaches into an org", D, "owned_ && object_.org.empty() && !object_.any_org", "owned_ && !object_.any_org"),
    ("the user level never answers any_org", D, "owned_ && object_.org.empty() && !object_.any_org", "owned_ && object_.org.empty()"),
    ("an org's negative stands before the member level", D, "vote > 0 ? Reason::org_role : Reason::org_negative", "Reason::org_role"),
    ("an org's vote counts", D, "if (const Vote vote = org_vote(org); vote != 0)", "if (const Vote vote = org_vote(org); vote > 1)"),
    ("the member level needs an owner", D, "owned_ && !object_.owner.empty()", "owned_"),
    ("the member level needs the subject to own it", D, "owned_ && !object_.owner.empty()", "!object_.owner.empty()"),
    ("owners are compared with the subject", D, "owned_(detail::same_id(object.owner, subject.hashed_id.text))", "owned_(true)"),
    ("any_org asks all memberships", D, "if (object_.any_org) return subject_.best_vote(level, object_.type, action_);", ""),
    ("any_org with an org is an error", D, "if (object.any_org && !object.org.empty() && object.org != kNilId) return {false, Errc::any_org_with_org};", ""),
    ("any_org with the nil org is none", D, " && object.org != kNilId) return", ") return"),
    ("highest vote: one yes is enough", S, "best.allow[i] |= each.allow[i];", "best.allow[i] &= each.allow[i];"),
    ("highest vote: no only if all say no", S, "best.deny[i] &= each.deny[i];", "best.deny[i] |= each.deny[i];"),
    ("no memberships: any_org votes 0", TC, "if (orgs.empty()) return 0;", "if (orgs.empty()) return 1;"),
    ("any_org and unknown words", TC, "if (!by_word || !odd_words_in_orgs)", "if (true)"),
    # Access lists
    ("a user entry allows", D, "if (object_.acl_user && object_.acl_user->grants(subject_.hashed_id, action_)) return Reason::user_acl;", ""),
    ("a group entry allows", D, "if (object_.acl_group->grants_any(subject_.groups, action_)) return Reason::group_acl;", ""),
    ("group entries are for members of the org", D, "if (!object_.acl_group || !member_of_objects_org())", "if (!object_.acl_group)"),
    ("the everyone group allows", D, "if (object_.acl_group->grants({hash, object_.org}, action_)) return Reason::everyone_acl;", ""),
    ("membership of no org is none", D, ": !object_.org.empty() && org_ != nullptr;", ": org_ != nullptr;"),
    ("any_org membership needs one", D, "object_.any_org ? !subject_.orgs.empty()", "object_.any_org ? true"),
    ("an entry names its holder", O, "if (detail::same_id(entries_[at].who, who.text)) return grants(entries_[at], action);", "return grants(entries_[at], action);"),
    ("* in an entry is every action", O, "*known == Action::any ? kEveryAction : bit(*known)", "bit(*known)"),
    ("an entry lists its actions", O, "if ((entry.granted & bit(action.known)) != 0) return true;", "return true;"),
    ("unknown actions in entries", O, "std::find(entry.words.begin(), entry.words.end(), action.text) != entry.words.end();", "false;"),
    ("negatives do not cancel an access list", D, "    const Reason by_acl = question.ask_acls();", "    const Reason by_acl = granted == Reason::no_grant ? question.ask_acls() : granted;"),
    # Scope
    ("the scope must allow it too", D, "if (!allows(question.ask_scope())) return {false, std::nullopt, Reason::scope};", ""),
    ("the allow list must admit the object", D, "if (!tables.allow.admits(object.type, object.id)) return {false, std::nullopt, Reason::allow_list};", ""),
    ("the scope holds for access lists too", D, "    granted = by_acl;", "    return {true, std::nullopt, by_acl};"),
    ("memberships come from the roles", S, "if (at != orgs.end()) at->second.scope.push_back(&permissions);", "orgs[org].scope.push_back(&permissions);"),
    ("the scope's user level counts", S, "scope_user.add(subject.scope->role.user);", ""),
    ("the scope's org level counts", S, "levels.scope_org = store.add(sources.scope, &OrgPermissions::org);", ""),
    ("the scope's member level counts", S, "levels.scope_member = store.add(sources.scope, &OrgPermissions::member);", ""),
    ("roles missing is an error", S, "if (!subject.roles) return Errc::roles_missing;", ""),
    ("scope missing is an error", S, "if (!subject.scope) return Errc::scope_missing;", ""),
    ("roles missing comes before scope missing", S, "  if (!subject.roles) return Errc::roles_missing;\n  if (!subject.scope) return Errc::scope_missing;",
     "  if (!subject.scope) return Errc::scope_missing;\n  if (!subject.roles) return Errc::roles_missing;"),
    ("an entry of another type admits nothing", TC, 'if (at->type == "*" || at->type == type.text) return true;', "return true;"),
    ("an entry is for its id", TC, "for (; at != by_id_.end() && at->id == id; ++at) {", "for (; at != by_id_.end(); ++at) {"),
    ("a whole type is that type", TC, "return (whole_types_ >> static_cast<unsigned>(type.known) & 1) != 0;", "return whole_types_ != 0;"),
    # Unknown words
    ("an unknown word takes no grant of another", TC, "for (const Key& key : {Key{type, action}, Key{type, \"*\"}, Key{\"*\", action}})", "for (const Key& key : {Key{type, action}})"),
    ("a column of * is not every column's", T, "const auto column = static_cast<std::size_t>(type.known);", "const auto column = static_cast<std::size_t>(type.known == Type::any ? Type::workspace : type.known);"),
    # Allow-list arithmetic
    ("allow lists: letter case", A, "if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');", ""),
    ("allow lists: known types alone", A, "if (!find_type(result.type)) return Errc::bad_allow_entry;", ""),
    ("allow lists: uuids alone", A, 'if (result.id != "*" && !detail::canonical_uuid(result.id)) return Errc::bad_allow_entry;', ""),
    ("allow lists: the cap", A, "if (texts.size() > max_entries) return Errc::too_many_allow_entries;", ""),
    ("allow lists: *:* ends the reading", A, "if (is_everything(*entry)) return AllowList{allow_everything()};", ""),
    ("allow lists: *:* wins", A, "if (holds_everything(list)) return {allow_everything()};", ""),
    ("allow lists: repeats are dropped", A, "if (!result.empty() && result.back() == entry) continue;", ""),
    ("allow lists: a type swallows its ids", A, "if (!swallowed) result.push_back(std::move(entry));", "result.push_back(std::move(entry));"),
    ("allow lists: an empty stored list closes", A, "if (stored_list.empty()) return {};", "if (stored_list.empty()) return scope_list;"),
    ("allow lists: both must name it", A, "if (type && id) both.push_back({std::move(*type), std::move(*id)});", "if (type) both.push_back({std::move(*type), id ? std::move(*id) : a.id});"),
    # Scopes
    ("scopes: known actions alone", SC, "if (*action != Action::any && !has_action(*type, *action)) return Errc::unknown_scope;", ""),
    ("scopes: aliases do not expand", SC, "const detail::ScopeTable* table = find_table(detail::kBuiltInScopes, name);", "const detail::ScopeTable* table = find_table(detail::kBuiltInScopes, resolve_scope_alias(name));"),
    ("scopes: the misspelt one is public", SC, 'if (name == "user.*") return true;', ""),
    ("scopes: covering looks at the objects", SC, "if (!std::all_of(inner.allow_list.begin(), inner.allow_list.end(), entry_is_covered)) return false;", ""),
    ("scopes: covering looks at the actions", SC, "if ((wants.allow[i] & ~may.allow[i]) != 0) return false;", ""),
    ("scopes: covering looks at the other levels", SC, "if (!inner.role.user.empty() || !inner.role.by_org.empty()) return false;", ""),
    ("agents: the ids must be there", SC, "if (is_missing(*id)) return Errc::developer_error;", ""),
    ("agents: nil is no id", SC, "return id.empty() || id == kNilId;", "return id.empty();"),
    ("agents: user data can be blocked", SC, 'params.block_user_data ? "no_user_data" : "coder:all"', '"coder:all"'),
    ("agents: the task is admitted", SC, 'if (!is_missing(params.task)) scope->allow_list.push_back({"task", params.task});', ""),
    # Roles
    ("role strings: one colon", R, "if (org.find(':') != std::string_view::npos) return Errc::bad_role_name;", ""),
    ("role strings: a name", R, "if (role.name.empty()) return Errc::bad_role_name;", ""),
    ("role strings: the nil org is none", R, "if (*uuid != kNilId) role.org = std::move(*uuid);", "role.org = std::move(*uuid);"),
    ("org roles need an org, site roles none", R, "if (!table || has_org != (table->role.kind != RoleKind::site)) return Errc::unknown_role;", "if (!table) return Errc::unknown_role;"),
    ("organization-member is stored", R, "if (!table || table->role.kind == RoleKind::org_system) return Errc::unknown_role;", "if (!table) return Errc::unknown_role;"),
    ("no_owner_workspace_exec", R, 'table.role.name == "owner" && options.no_owner_workspace_exec', "false"),
    ("no_workspace_sharing", R, 'table.role.name == "member" && options.no_workspace_sharing', "false"),
    ("workspace_sharing_disabled", R, "table.role.kind == RoleKind::org_system && sharing_disabled(options, wanted.org)", "false"),
    ("the creation ban forbids", RT, '"-workspace:create,delete,create_agent,delete_agent"', '"workspace:create,delete,create_agent,delete_agent"'),
    ("owners lack secrets", RT, "task:* template:* user:* webpush_subscription:* workspace_agent_devcontainers:* \"\n    \"workspace_agent_resource_monitor:* workspace_proxy:* prebuilt_workspace:update,delete \"\n    \"workspace:create,read,update,delete,start,stop,ssh,",
     "task:* template:* user:* user_secret:* webpush_subscription:* workspace_agent_devcontainers:* \"\n    \"workspace_agent_resource_monitor:* workspace_proxy:* prebuilt_workspace:update,delete \"\n    \"workspace:create,read,update,delete,start,stop,ssh,"),
    # Custom roles
    ("custom roles: an org", C, "if (role.org.empty() || role.org == kNilId) return Refusal::org_required;", ""),
    ("custom roles: the right", C, "if (!may_touch(actor, op, role)) return Refusal::forbidden;", ""),
    ("custom roles: the right before the rest", C, "  if (!may_touch(actor, op, role)) return Refusal::forbidden;\n  if (op == CustomRoleOp::delete_) return std::nullopt;",
     "  if (op == CustomRoleOp::delete_) return std::nullopt;\n  if (!may_touch(actor, op, role)) return Refusal::forbidden;"),
    ("custom roles: system roles take the system's right", C, "if (role.is_system && op != CustomRoleOp::delete_) return decide", "if (false) return decide"),
    ("custom roles: each verb its own", C, "    case CustomRoleOp::update:\n      return Action::update;", "    case CustomRoleOp::update:\n      return Action::create;"),
    ("custom roles: reserved names", C, "if (!may_be_called(role)) return Refusal::reserved_name;", ""),
    ("custom roles: names of system subjects are reserved", R, "return rule.actor == name ||", "return"),
    ("custom roles: names in the rules of assignment are reserved", R, "std::find(rule.may_assign.begin(), rule.may_assign.end(), name) != rule.may_assign.end();", "false;"),
    ("custom roles: organization-member is the system's to make", C, "return role.is_system && !find_built_in_role", "return !find_built_in_role"),
    ("custom roles: built-in names are reserved for the system too", C, "return role.is_system && !find_built_in_role({role.name, role.org}) &&", "return role.is_system &&"),
    ("custom roles: no site permissions", C, 'if (!role.site.empty()) return refuse_first(Refusal::mixed_levels, "site");', ""),
    ("custom roles: no user permissions", C, 'if (!role.user.empty()) return refuse_first(Refusal::mixed_levels, "user");', ""),
    ("custom roles: no member permissions", C, 'if (!role.member.empty() && !role.is_system) return refuse_first(Refusal::member_permissions, "member");', ""),
    ("custom roles: known resources", C, "if (!type) return Refusal::invalid_resource;", "if (!type) return std::nullopt;"),
    ("custom roles: known actions", C, "if (!action || !has_action(*type, *action)) return Refusal::invalid_action;", ""),
    ("custom roles: member permissions are looked at", C, 'if (const auto refusal = check_each(role.member, "member", place, known_words)) return refusal;', ""),
    ("custom roles: system roles are done", C, "if (role.is_system) return std::nullopt;", ""),
    ("custom roles: no negatives", C, "if (permission.negate) return Refusal::negative;", ""),
    ("custom roles: no wildcard actions", C, 'if (permission.action == "*" || permission.resource_type == "*") return Refusal::wildcard;', 'if (permission.resource_type == "*") return Refusal::wildcard;'),
    ("custom roles: no wildcard types", C, 'if (permission.action == "*" || permission.resource_type == "*") return Refusal::wildcard;', 'if (permission.action == "*") return Refusal::wildcard;'),
    ("custom roles: no escalation", C, "if (!decide(actor, ActionWord(permission.action), anything).allowed) return Refusal::escalation;", ""),
    ("custom roles: owning does not help", C, "const Object anything{TypeWord(permission.resource_type), {}, {}, org};", "const Object anything{TypeWord(permission.resource_type), {}, actor.id(), org};"),
    # Giving and taking roles
    ("assigning: what each role may give", RA, "if (std::find(rule.may_assign.begin(), rule.may_assign.end(), target.name) == rule.may_assign.end()) continue;", ""),
    ("assigning: an org role in its org alone", RA, "is_org_role(actor.name) ? actor.org == target.org : actor.org.empty()", "is_org_role(actor.name) || actor.org.empty()"),
    ("assigning: an org role without an org", RA, "is_org_role(actor.name) ? actor.org == target.org : actor.org.empty()", "actor.org == target.org || actor.org.empty()"),
    ("assigning: an org's role is none of the site's or the system's", RA, "is_org_role(actor.name) ? actor.org == target.org : actor.org.empty()",
     "actor.org == target.org || (actor.org.empty() && !is_org_role(actor.name))"),
    ("assigning: names and orgs are compared", RA, "return {missing_in(to, from), missing_in(from, to)};", "return {missing_in(to, from), {}};"),
    ("assigning: roles of that org", RA, "if (role.org != org) return RefusedRoleChange{RoleChangeRefusal::wrong_org, role};", ""),
    ("assigning: roles that exist", RA, "return RefusedRoleChange{RoleChangeRefusal::unknown_role, role};", "continue;"),
    ("assigning: the right to assign", RA, "(!change.added.empty() && !decide(actor, Action::assign, where).allowed) ||", ""),
    ("assigning: the right to unassign", RA, "(!change.removed.empty() && !decide(actor, Action::unassign, where).allowed)", "false"),
    ("assigning: what the actor's roles list", RA, "return RefusedRoleChange{RoleChangeRefusal::not_assignable, role};", "continue;"),
    ("assigning: a stored role is no built-in", RA, "if (expand_role(role)) return role;", "return role;"),
    # Prebuilt workspaces
    ("prebuilt: a second chance", D, "if (first.allowed || first.error || !may_be_prebuilt(action, object)) return first;", "return first;"),
    ("prebuilt: of the prebuilds user alone", D, " && object.owner == kPrebuildsUserId;", ";"),
    ("prebuilt: update and delete alone", D, "return is_workspace && may_ask_again &&", "return is_workspace &&"),
    ("prebuilt: workspaces alone", D, "return is_workspace && may_ask_again &&", "return may_ask_again &&"),
    ("prebuilt: dormant ones too", D, "|| object.type.known == Type::workspace_dormant;", ";"),
    # Filters
    ("filters: the site's negative", F, "if (site_vote < 0) return terms;", ""),
    ("filters: a site grant is all", F, "if (site_vote > 0) return {Term{}};", ""),
    ("filters: own rows outside of orgs", F, 'terms.push_back({std::vector<std::string>{""}, true, {}});', 'terms.push_back({std::nullopt, true, {}});'),
    ("filters: orgs that grant", F, "if (vote > 0) granting.push_back(id);", ""),
    ("filters: an org's negative", F, "if (vote == 0 && subject_.vote(levels.*member, type_, action_) > 0)", "if (subject_.vote(levels.*member, type_, action_) > 0)"),
    ("filters: own rows in orgs", F, "add_orgs(terms, std::move(own_only), true);", "add_orgs(terms, std::move(own_only), false);"),
    ("filters: user entries", F, "    terms.push_back({std::nullopt, false, {{Kind::acl_user_has, {}, {subject_.id}, actions}}});\n", ""),
    ("filters: * in entries", F, 'if (actions.front() != "*") actions.emplace_back("*");', ""),
    ("filters: group entries in memberships", F, "terms.push_back({memberships, false, {{Kind::acl_group_has", "terms.push_back({std::nullopt, false, {{Kind::acl_group_has"),
    ("filters: everyone entries in memberships", F, "terms.push_back({memberships, false, {{Kind::acl_org_group_has", "terms.push_back({std::nullopt, false, {{Kind::acl_org_group_has"),
    ("filters: the scope limits", F, "const std::optional<Term> both = meet(grant, limit);", "const std::optional<Term> both = grant;"),
    ("filters: the allow list limits", F, "if (ids) all.push_back({Kind::equals_any, Column::id, *ids, {}});", ""),
    ("filters: an allow list without ids", F, "if (ids->empty()) return {};", ""),
    ("filters: orgs that both admit", F, "if (both.orgs && both.orgs->empty()) return std::nullopt;", ""),
    ("filters: mixed types are an error", F, "if (objects[i].type.text != objects.front().type.text) return Errc::mixed_types;", ""),
    ("filters: an error ends the list", F, "if (decision.error) return *decision.error;", ""),
    ("filters: cancelled", F, "if (cancelled.stop_requested()) return Errc::cancelled;", ""),
    ("filters: tables without owners", F, "if (!table.has_owner()) return std::nullopt;", ""),
    # SQL
    ("SQL: no owner column is false", Q, "if (!table_.has_owner()) return std::string(kFalse);", "if (!table_.has_owner()) return std::string(kTrue);"),
    ("SQL: no org is NULL", Q, 'if (or_null) parts.push_back(name + " IS NULL");', ""),
    ("SQL: quotes in array elements", Q, "if (c == '\"' || c == '\\\\') text += '\\\\';", ""),
    ("SQL: NUL cannot be stored", Q, "return each.find('\\0') == std::string::npos;", "return true;"),
    ("SQL: permissions are nested for workspaces", Q, "table_.acl_nests_permissions ? \" -> 'permissions')\" : \")\"", "\")\""),
    # System subjects and uuids
    ("system subjects: a membership needs its org", Y, "if (org.empty()) return Errc::unknown_system_subject;", ""),
    ("system subjects: their own id", Y, "subject.id = own_id.empty() ? user : own_id;", "subject.id = user;"),
    ("uuids: hyphens in their places", U, "if (is_hyphen_place(i) ? text[i] != '-' : !is_lower_hex(text[i])) return false;", ""),
    ("uuids: braces", U, "} else if (uuid.size() == 38 && uuid.front() == '{' && uuid.back() == '}') {", "} else if (false) {"),
]


def misfits():
    """Entries whose text does not stand exactly once in its file."""
    return [f"{rule}: the text stands {count} times in {file}"
            for rule, file, text, _ in MUTANTS if (count := (ROOT / file).read_text().count(text)) != 1]


def copy_tree(to):
    """What is the same already is not touched, so that only what changed is built."""
    for name in subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines():
        original, copy = ROOT / name, to / name
        if original.is_file() and not (copy.is_file() and copy.read_bytes() == original.read_bytes()):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(original, copy)
            shutil.copymode(original, copy)


class Copy:
    def __init__(self, directory, wrapper):
        self.source, self.wrapper = directory / "source", wrapper
        # Where the everyday build is in its own tree: what that has compiled is in the compiler cache.
        self.build = self.source / "build" / "dev"
        copy_tree(self.source)
        if not self.build.exists():
            subprocess.run(["cmake", "--preset", "dev"], cwd=self.source, capture_output=True, text=True, check=True)

    def compiles(self):
        return subprocess.run([*self.wrapper, "cmake", "--build", str(self.build), "--target", *TARGETS], capture_output=True, text=True)

    def failing_test(self):
        """The first test that fails, or nothing."""
        for target in TARGETS:
            try:
                done = subprocess.run([self.build / "bin" / target, "--gtest_brief=1", "--gtest_fail_fast"], capture_output=True, text=True, timeout=300)
            except subprocess.TimeoutExpired:
                return "(no end)"
            if done.returncode != 0:
                found = re.search(r"\[  FAILED  \] (\S+)", done.stdout)
                return found.group(1).rstrip(",") if found else f"{target} ended with {done.returncode}"
        return None

    def try_out(self, file, text, replacement):
        """What noticed the mutant: the compiler, a test, or nothing."""
        path = self.source / file
        original = path.read_text()
        path.write_text(original.replace(text, replacement))
        try:
            built = self.compiles()
            return DOES_NOT_COMPILE if built.returncode != 0 else self.failing_test()
        finally:
            path.write_text(original)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, help="keeps the copy here, so that the next run is faster")
    parser.add_argument("--only", default="", help="rules that hold this text")
    parser.add_argument("--some", type=int, metavar="COUNT", help="so many of them, drawn")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--check", action="store_true", help="only whether every entry fits the code")
    parser.add_argument("--wrapper", default="", help="put before every build")
    arguments = parser.parse_args()
    chosen = [each for each in MUTANTS if arguments.only in each[0]]
    if arguments.list:
        print(*(each[0] for each in chosen), sep="\n")
        return 0
    if stale := misfits():
        print(*stale, sep="\n")
        return 1
    if arguments.check:
        return 0
    if arguments.some is not None:
        seed = os.environ.get("TALLY_SEED") or str(random.SystemRandom().randrange(1 << 32))
        print(f"TALLY_SEED={seed}", flush=True)
        chosen = random.Random(seed).sample(chosen, min(arguments.some, len(chosen)))
    with tempfile.TemporaryDirectory() as temporary:
        copy = Copy(arguments.build or pathlib.Path(temporary), shlex.split(arguments.wrapper))
        built = copy.compiles()
        if built.returncode != 0 or (failed := copy.failing_test()):
            print("without any mutant:", built.stdout[-2000:] if built.returncode != 0 else failed)
            return 1
        started, survivors = time.monotonic(), []
        for number, (rule, file, text, replacement) in enumerate(chosen, 1):
            noticed = copy.try_out(file, text, replacement)
            if noticed in (None, DOES_NOT_COMPILE):
                survivors.append(rule)
            print(f"{number:3}/{len(chosen)}  {rule:<55} {noticed or 'NOT NOTICED'}", flush=True)
    print(f"\n{len(chosen) - len(survivors)} of {len(chosen)} rules are noticed when they are switched off, in {time.monotonic() - started:.0f} s")
    print(*(f"not noticed: {rule}" for rule in survivors), sep="\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
