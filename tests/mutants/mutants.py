#!/usr/bin/env python3
"""Switches one rule of exact counting off at a time and demands that the tests named here notice.

usage: mutants.py --build DIR [NAME...]   run these mutants, default all; exit 1 if one is not noticed
       mutants.py --list [fast|slow]      their names, one a line
       mutants.py --check                 every rule in the sources is listed here, and the reverse

DIR is a build with TALLY_MUTANTS=ON (the presets dev, asan and tsan are). Tests of db_test need its PostgreSQL: let CTest run them.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ("tracker", "journal", "db", "daemon")
LONGEST_SECONDS = 240

# Rule, what it says (accounting.md names it by the part before the dot: a tag, or S and the section), and the test that must fail
# without it: program and GoogleTest filter, or a class or method of tests/e2e or tests/faults.
MUTANTS = {
    "M1": ("a flush applies only where the stream stands at its start", "db_test", "Flush.RefusesTheSameBatchTheSecondTime"),
    "M1.chain": ("and only with the same records before it", "db_test", "Flush.RefusesACopyOfTheStreamThatWentAnotherWay"),
    "M1.state": ("and only while the stream is open", "db_test", "Flush.RefusesAStreamThatIsUnknownDrainedOrGivenUp"),
    "M2": ("a period is summed after its close, not in the same snapshot", "db_test", "Close.WaitsForAFlushThatHoldsTheClock_BU20"),
    "M3": ("a flush holds the clock until it commits", "db_test", "Close.WaitsForAFlushThatHoldsTheClock_BU20"),
    "M4": ("records go only once a committed answer covers them", "journal_test", "DeadStream.IsTrimmedToWhatWasApplied"),
    "M5": ("nothing is acknowledged before its sync", "journal_test", "PowerLoss.AtAnyCallLosesNoAcknowledgedRecord"),
    "M6": ("a process never appends to the stream of another", "e2e", "test_crashes.TwoProcesses.test_fault_18_a_cloned_state_directory_is_drained_once_in_total"),
    "M7": ("a close of unknown outcome is repeated for the same period", "tracker_test", "PeriodClose.AfterALostAnswerRepeatsTheSamePeriodAndRequest"),
    "M8": ("a report counts as delivered once it was accepted, not before", "e2e", "test_reports_delivered.ReportDelivery.test_every_way_of_failing_ends_in_one_accepted_report_fault_23"),
    "M9": ("ids are left out only under a guard", "tracker_test", "StreamFlush.SendsTheFirstBatchOfAnEpochWithoutGuardAndTheNextUnderIt"),
    "M9.sql": ("the guard's period is compared with the clock", "db_test", "Flush.TellsAGuardRefusalByTheClock"),
    "M12": ("a stream is drained only under its own lock", "journal_test", "RealDirectory.OfADeadProcessIsTakenOverWithItsStream"),
    "M13.age": ("nothing goes because of its age alone", "e2e", "test_database.DatabaseAway.test_M13_a_journal_older_than_its_retention_is_kept_until_it_is_applied"),
    "M13.chain": ("another chain at the same LSN is a fork: alarm, and stop", "tracker_test", "StreamFlush.AnotherChainAtTheSameLsnIsAForkAndStops"),
    "M13.row": ("a row that went is an alarm, not a new start", "tracker_test", "StreamFlush.ARowThatVanishedStopsTheStreamAndKeepsTheJournal"),
    "M15": ("a stream whose disk failed is sealed: no LSN twice", "journal_test", "Writer.NeverTouchesAFileAgainAfterAFailure"),
    "B3.damage": ("a bad record before good ones is damage, not a torn end", "journal_test", "DeadStream.TellsATornEndFromDamage"),
    "B3.torn": ("a record that does not match its checksum is none", "journal_test", "ReaderOf.EveryFlippedByteEndsTheReadBeforeItAndIsReported"),
    "C1": ("a close moves the clock only where it says the expected period", "db_test", "Close.MovesTheClockOnceForAllWhoNameThePeriod"),
    "F1.complete": ("what a shard could not hold is read again", "tracker_test", "StreamFlush.AnIncompleteGatheringIsReReadAndBreaksTheEpoch"),
    "F4": ("an unknown outcome is read back, never guessed", "tracker_test", "StreamFlush.AnUnknownOutcomeThatDidNotCommitIsRebuiltFromTheJournal"),
    "F5.aside": ("a record is set aside by compare-and-set too", "db_test", "Flush.SetsASingleRecordAsideOnRecord"),
    "F5.ids": ("a batch found applied confirms no id", "tracker_test", "StreamFlush.AnUnknownOutcomeConfirmsNoIds"),
    "F5.lost": ("a database that lost commits is believed, and counting goes on from there", "tracker_test", "StreamFlush.GoesOnFromALowerLsnWhenTheDatabaseLostCommits"),
    "F5.split": ("refused data is split, not sent again", "tracker_test", "StreamFlush.HalvesARefusedBatchUntilTheRecordStandsAloneAndSetsItAside"),
    "S4.rotate": ("a segment with a successor holds all its records", "journal_test", "PowerLoss.*"),
    "S4.segment": ("a new segment is synced before it takes records", "journal_test", "PowerLoss.*"),
    "S4.stream": ("a new stream's folder is synced before it takes records", "journal_test", "PowerLoss.*"),
    "S5.registered": ("no key is taken before the replica registered once", "e2e", "test_keys.Unregistered"),
    "S6.drained": ("a stream is drained at its last record only", "db_test", "MarkDrained.OnlyAtTheLastRecord"),
    "S7.epoch": ("the guard holds the epoch of the ids too", "db_test", "Flush.IsGuardedByTheEpochOfItsIdsToo"),
    "S7.raise": ("discarding a replica's figures raises its epoch", "db_test", "DiscardReplica.EndsTheGuardUnderWhichIdsWereLeftOut"),
    "S9.body": ("a known key with another body is a conflict", "tracker_test", "KeyMemory.TellsARepeatFromAConflict"),
    "S9.durable": ("a key is remembered only once its record is durable", "e2e", "test_keys.KeysOnAFullJournal"),
    "S9.effect-ids": ("an id without a key is left out only if it was itself confirmed", "tracker_test", "Accumulator.AnUnkeyedIdIsSentEvenIfAKeyedEffectOfTheBatchCarriesIt"),
    "S9.horizon": ("keys outlive their window while a replica may bring another copy", "db_test", "ExpireKeys.WaitsForEveryReplicaThatIsNotGivenUp"),
    "S9.ids": ("a refused effect brings no ids", "db_test", "FlushKeys.ApplyOnlyEffectsWhoseKeyIsNew"),
    "S9.keys": ("an effect counts only if its key is new", "db_test", "FlushKeys.ApplyOnlyEffectsWhoseKeyIsNew"),
    "S9.merge": ("repeats of a key inside a batch are merged", "tracker_test", "Accumulator.MergesRepeatsOfAKeyIntoTheRefusedSums"),
    "S9.seal": ("a sealed stream's keys are vouched for no longer", "tracker_test", "KeyMemory.VouchesForNothingAfterASeal"),
    "S9.sorted": ("keys are locked in one order", "db_test", "FlushKeys.InOppositeOrdersDoNotDeadlock"),
    "S10.applied": ("a refused batch leaves no connection", "db_test", "ConnectionRows.ARefusedBatchLeavesNoRow"),
    "S10.batch": ("the events of an entry are joined before they are sent", "tracker_test", "Accumulator.JoinsTheEventsOfAnEntryBeforeTheyAreSent"),
    "S10.connect": ("an entry keeps its earliest connect", "tracker_test", "ConnectionJoin.OrderGroupingAndRepeatsMakeNoDifference"),
    "S10.effects": ("connections of a refused effect are not applied", "db_test", "ConnectionRows.AKeyThatIsTakenBringsNothing"),
    "S10.end": ("an entry keeps its latest disconnect with its code and reason", "tracker_test", "ConnectionJoin.TakesTheLatestDisconnectWithItsOwnCodeAndReason"),
    "S10.folded": ("of several ends of an entry in one batch the latest counts", "db_test", "ConnectionRows.AreWhatTheMemoryJoinsWhateverTheOrderTheGroupingAndTheRepeats"),
    "S10.first": ("names are those of the earliest event", "tracker_test", "ConnectionJoin.LosesNothingThatEitherEventSaid"),
    "S10.key": ("an entry is told apart by the whole key", "ingest_test", "ConnectionEvents.BelongToOneEntryByTheFullKey"),
    "S10.lost": ("a session that speaks again is not lost", "db_test", "ConnectionUpkeep.MarksSilentSessionsOnceAndAnEventTakesItBack"),
    "S10.moves": ("behind a cursor an entry stands where it stood", "db_test", "ConnectionPages.AnEntryThatMovesBackBetweenPagesIsNotRepeated"),
    "S10.purged": ("what comes after its entry was removed makes no headless one", "db_test", "ConnectionPurge.ALateDisconnectOfAPurgedConnectMakesNoRow"),
    "S10.row-connect": ("a row keeps its earliest connect", "db_test", "ConnectionRows.AreWhatTheMemoryJoinsWhateverTheOrderTheGroupingAndTheRepeats"),
    "S10.row-end": ("a row keeps its latest disconnect", "db_test", "ConnectionRows.AreWhatTheMemoryJoinsWhateverTheOrderTheGroupingAndTheRepeats"),
    "S10.row-first": ("a row knows its earliest event", "db_test", "ConnectionRows.AreWhatTheMemoryJoinsWhateverTheOrderTheGroupingAndTheRepeats"),
    "S10.said": ("what several events said is the earliest's", "tracker_test", "ConnectionJoin.LosesNothingThatEitherEventSaid"),
    "S11.fence": ("whoever settles an event names the attempt that it leased", "db_test", "UsageOutbox.ADeadHoldersEventsGoToAnotherWhenItsLeaseHasRunOut_UP01"),
    "S11.unknown": ("what is unknown for too long is not sent again", "db_test", "UsageOutbox.LeasesNothingThatIsPastItsWindow_UP03"),
    "S13.witness": ("and is known for one after a restart too", "e2e", "test_database.DatabaseLosesPeriods"),
    "S13.clock": ("a clock below the highest known stops the flush", "tracker_test", "StreamFlush.StopsWhenTheClockRunsBackwards"),
}
# Prohibitions that no line of code could be taken out of: there is nothing that does the forbidden.
BY_CONSTRUCTION = {
    "M10": "old records are never appended again: the drainer is given no journal to append to",
}


def is_slow(name):
    return MUTANTS[name][1] in ("e2e", "faults")


def command(build, program, tests):
    if program in ("e2e", "faults"):
        return [sys.executable, "-m", "unittest", "-v", tests], ROOT / "tests" / program
    return [str(build / "bin" / program), f"--gtest_filter={tests}", "--gtest_brief=1"], build


def run(build, name):
    """Whether the mutant is noticed, and how."""
    _, program, tests = MUTANTS[name]
    words, folder = command(build, program, tests)
    environment = dict(os.environ, TALLYD=str(build / "bin/tallyd"), PYTHONDONTWRITEBYTECODE="1", PYTHONPATH=str(ROOT / "tests/e2e"))
    # Without its server, for one, a test fails whatever the rule does. Those of the whole program run in the same run of CTest anyway.
    if not is_slow(name) and subprocess.run(words, cwd=folder, env=environment, capture_output=True, timeout=LONGEST_SECONDS).returncode != 0:
        return False, "fails without the mutant too"
    environment["TALLY_MUTANT"] = name
    try:
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        return True, "hangs"
    output = done.stdout + done.stderr
    if done.returncode == 0:
        return False, "passes: is the test still there, and does it still look?\n" + output[-2000:]
    if program in ("e2e", "faults"):
        return "_FailedTest" not in output and re.search(r"^(FAIL|ERROR): test_", output, re.M) is not None, "fails" if "_FailedTest" not in output else output[-2000:]
    # Sanitizers and crashes notice too; a test that could not start has noticed nothing.
    noticed = "[  FAILED  ]" in output or done.returncode < 0 or "Sanitizer" in output
    return noticed, "fails" if noticed else f"exit {done.returncode} without a failed test:\n{output[-2000:]}"


def rules_in_sources():
    found = set()
    for folder in SOURCES:
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".cpp", ".hpp"):
                found |= set(re.findall(r'\bholds\("([^"]+)"\)', path.read_text()))
            if path.suffix in (".cpp", ".sql"):
                for line in path.read_text().splitlines():
                    _, tag, rest = line.partition("-- [")
                    if tag:
                        found |= set(re.findall(r"\[([A-Z][0-9]+(?:\.[a-z-]+)?)[\]:]", "[" + rest))
    return found


def check():
    found = rules_in_sources()
    problems = [f"{name}: asked for in the sources, not listed" for name in sorted(found - MUTANTS.keys())]
    problems += [f"{name}: listed, and nothing in the sources asks for it" for name in sorted(MUTANTS.keys() - found)]
    for line in problems:
        print(line)
    return not problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path)
    parser.add_argument("--list", nargs="?", const="all", choices=["all", "fast", "slow"])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("names", nargs="*", metavar="NAME")
    given = parser.parse_args()
    if given.list:
        print("\n".join(name for name in MUTANTS if given.list == "all" or is_slow(name) == (given.list == "slow")))
        return 0
    if given.check:
        return 0 if check() else 1
    if given.build is None:
        parser.error("--build DIR is needed")
    missed = []
    for name in given.names or MUTANTS:
        started = time.monotonic()
        noticed, how = run(given.build.resolve(), name)
        says, program, tests = MUTANTS[name]
        print(f"{'noticed' if noticed else 'MISSED '} {time.monotonic() - started:6.1f} s  {name}: {says}\n                  {program} {tests} {how}", flush=True)
        if not noticed:
            missed.append(name)
    if missed:
        print(f"not noticed: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
