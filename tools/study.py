"""Runs the cells of a study and draws its tables from the results."""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# A core a run: set before torch is imported.
os.environ['OMP_NUM_THREADS'] = '1'
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

from rich.console import Console

from benchmarks.studies import STUDIES, run_study
from benchmarks.studies.figures import draw_figures
from benchmarks.studies.page import write_pages
from benchmarks.studies.run import StudyError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'name', nargs='*', help=f'which studies: {", ".join(STUDIES)}'
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        default=Path('work_dirs/studies'),
        help='folder for the trainings (default: %(default)s)',
    )
    parser.add_argument(
        '--workers',
        type=int,
        default=os.cpu_count() or 1,
        help='runs at a time, a core each (default: %(default)s)',
    )
    parser.add_argument(
        '--page',
        action='store_true',
        help='run nothing, draw the pages from the results that there are',
    )
    args = parser.parse_args()
    if args.workers < 1:
        parser.error(f'--workers must be at least 1, got {args.workers}')
    unknown = [name for name in args.name if name not in STUDIES]
    if unknown or not (args.page or args.name):
        parser.error(f'name a study, not {unknown}: {", ".join(STUDIES)}')
    console = Console()
    try:
        for name in () if args.page else args.name:
            run_study(
                name, STUDIES[name], args.work_dir, args.workers, console
            )
    except (StudyError, OSError, ValueError) as error:
        parser.exit(2, f'{parser.prog}: error: {error}\n')
    for file in (*draw_figures(STUDIES), *write_pages(STUDIES)):
        print(file)


if __name__ == '__main__':
    main()
