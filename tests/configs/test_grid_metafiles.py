"""model-index.yml, metafiles and READMEs name the configs that exist."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
INDEX = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
FAMILIES = [Path(name).parent.name for name in INDEX]
TASKS = {
    'box AP': 'Object Detection',
    'mask AP': 'Instance Segmentation',
    'mIoU': 'Semantic Segmentation',
    'mIoU(ms)': 'Semantic Segmentation',
}
DATASETS = {
    'coco': 'COCO',
    'ade20k': 'ADE20K',
    'cityscapes': 'Cityscapes',
    'gta5': 'GTA5',
    'diverse-weather': 'Diverse-Weather',
}


@pytest.fixture(params=FAMILIES)
def family(request):
    """A folder of configs, its metafile and its README."""
    folder = ROOT / 'configs' / request.param
    metafile = yaml.safe_load((folder / 'metafile.yml').read_text())
    return folder, metafile, (folder / 'README.md').read_text()


def test_every_metafile_is_in_the_index():
    found = ROOT.glob('configs/*/metafile.yml')
    assert {str(p.relative_to(ROOT)) for p in found} == set(INDEX)


def test_a_metafile_lists_each_config_of_its_folder_once(family):
    folder, metafile, _ = family
    listed = [model['Config'] for model in metafile['Models']]
    files = [str(p.relative_to(ROOT)) for p in folder.glob('*.py')]
    assert sorted(listed) == sorted(files)
    names = [model['Name'] for model in metafile['Models']]
    assert names == [Path(config).stem for config in listed]


def test_collections_and_readmes_exist(family):
    folder, metafile, _ = family
    (collection,) = metafile['Collections']
    assert ROOT / collection['README'] == folder / 'README.md'
    for model in metafile['Models']:
        assert model['In Collection'] == collection['Name']


def test_results_say_which_table_reports_them(family):
    _, metafile, readme = family
    for model in metafile['Models']:
        assert 'Weights' not in model
        results = model.get('Results', [])
        assert bool(results) == ('Results reported by' in model['Metadata'])
        dataset = next(
            title for name, title in DATASETS.items() if name in model['Name']
        )
        for result in results:
            assert result['Dataset'] == dataset
            for metric, value in result['Metrics'].items():
                assert TASKS[metric] == result['Task']
                (line,) = (
                    line
                    for line in readme.splitlines()
                    if f'({model["Name"]}.py)' in line
                )
                assert re.search(rf'\b{value}0?\b', line), (line, value)


def test_a_readme_links_each_config_of_its_folder_once(family):
    folder, _, readme = family
    links = re.findall(r'\(([\w.-]+)\.py\)', readme)
    assert sorted(links) == sorted(p.stem for p in folder.glob('*.py'))


def test_commands_in_the_readmes_name_files_that_exist():
    for readme in ROOT.glob('configs/*/README.md'):
        for name in re.findall(r'configs/[\w./${}-]+\.py', readme.read_text()):
            pattern = name.replace('${net}', '*')
            assert list(ROOT.glob(pattern)), f'{readme}: {name}'


def test_every_config_has_a_name_of_its_own():
    """mim looks models up by name, whatever their folder."""
    names = [path.stem for path in ROOT.glob('configs/*/*.py')]
    assert len(names) == len(set(names))
