#!/usr/bin/env bash
# All that this project wants to know of one GPU, in one command with a time budget.
#
#     benchmarks/gpu.sh                              seven minutes in all
#     benchmarks/gpu.sh --budget 240 --to build/gpu  four minutes
#     benchmarks/gpu.sh --tiny                       a rehearsal on the CPU: does everything run?
#
# Machine and versions; the tests that need CUDA (at most two minutes, and half the budget); then the benchmark's cases, the most
# important first: 410M, 2B, 7B, 1B. What does not fit into the budget is left out. At the end the goals stand beside what was
# measured. For Linux.
#
#   --budget SECONDS   for everything (default: 420)
#   --to FOLDER        tests.txt, tests.xml, result.json, printed.txt (default: build/gpu)
#   --data FOLDER      the texts, as of benchmarks/run.py
#   --commit ID        of the code, where it lies in no git checkout
#   --no-tests         the benchmark alone
#
# What follows after -- goes to benchmarks/run.py as it is. PYTHON=python3.12 chooses the interpreter; nothing need be installed
# of this package but what it depends on.
set -uo pipefail
cd "$(dirname "$0")/.."

budget=420 to=build/gpu device=cuda tests=yes given=()
while (($#)); do
  case $1 in
    --budget) budget=$2; shift ;;
    --to) to=$2; shift ;;
    --data | --commit) given+=("$1" "$2"); shift ;;
    --tiny) device=cpu; given+=(--tiny --models 410M 7B --layers 0 --rounds 2 --batch-sizes 2 4) ;;
    --no-tests) tests=no ;;
    --) shift; given+=("$@"); break ;;
    -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "benchmarks/gpu.sh: $1 is no option; --help names them" >&2; exit 2 ;;
  esac
  shift
done

[[ $budget =~ ^[1-9][0-9]*$ ]] || { echo "benchmarks/gpu.sh: --budget must be whole seconds, got $budget" >&2; exit 2; }

SECONDS=0
python=${PYTHON:-python3}
[[ -z ${PYTHON:-} && -x .venv/bin/python ]] && python=.venv/bin/python
export PYTHONPATH=src${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1
mkdir -p "$to" || exit

echo "== machine and versions"
"$python" benchmarks/run.py --device "$device" --describe || exit

failed=0
if [[ $tests == yes ]]; then
  echo "== tests that need CUDA"
  limit=$((budget / 2 < 120 ? budget / 2 : 120))
  mapfile -t files < <(grep -rl 'mark\.gpu' tests --include='test_*.py' | sort)
  timeout -s INT -k 10 $((limit + 1)) "$python" -m pytest -m gpu -q -rfEs --tb=short --durations=5 --junitxml="$to/tests.xml" \
    -W ignore::pytest.PytestConfigWarning "${files[@]}" 2>&1 | tee "$to/tests.txt" || failed=1
fi

left=$((budget - SECONDS))
echo "== benchmark, $left seconds left"
if ((left > 0)); then
  timeout -s INT -k 10 $((left + 30)) "$python" benchmarks/run.py --device "$device" --cases passages queries one-query --rounds 3 \
    --budget $left --goals --output "$to/result.json" ${given[@]+"${given[@]}"} 2>&1 | tee "$to/printed.txt" || failed=1
fi
echo "== $SECONDS seconds in all; $to holds $(ls "$to" | tr '\n' ' ')"
exit $failed
