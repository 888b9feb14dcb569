"""Trains the cells of a study and draws its page from the results."""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console

from benchmarks.studies import STUDIES, run_study
from benchmarks.studies.page import draw_page
from benchmarks.studies.run import StudyError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('name', choices=STUDIES, help='which study')
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
        help='trainings at a time, a core each (default: %(default)s)',
    )
    parser.add_argument(
        '--page',
        action='store_true',
        help='train nothing, draw the page from the results that there are',
    )
    args = parser.parse_args()
    if args.workers < 1:
        parser.error(f'--workers must be at least 1, got {args.workers}')
    study, console = STUDIES[args.name], Console()
    try:
        if not args.page:
            run_study(args.name, study, args.work_dir, args.workers, console)
    except (StudyError, OSError) as error:
        parser.exit(2, f'{parser.prog}: error: {error}\n')
    finally:
        print(draw_page(args.name, study))


if __name__ == '__main__':
    main()
