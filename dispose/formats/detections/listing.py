"""JSON files that speak of all images of a camera, or of all cameras: COCO's, AlphaPose's and MMPose's.

- COCO results, and AlphaPose's: a list of ``{image_id, keypoints: [x, y, score, …], score}``, an entry per person;
- COCO instances: ``{images, annotations, categories}``, whose scores are visibilities (0, 1 or 2);
- MMPose of a video: ``{meta_info, instance_info: [{frame_id, instances: [{keypoints, keypoint_scores}]}]}``, or the
  list alone;
- AlphaPose in the form of OpenPose: ``{image: {bodies: [{joints}]}}``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dispose.errors import InputError
from dispose.formats.detections.frames import FRAME_KEYS, PEOPLE_LISTS, TRIED, people_of_image, says_one_image
from dispose.formats.detections.joint_names import skeleton_of_names
from dispose.formats.detections.keypoints import person_of_object
from dispose.formats.entry import MOST_WHOLE, Entry, short
from dispose.formats.odd import NO_FRAME, Odd
from dispose.skeletons.skeleton import Skeleton

KNOWN_FORMS = (
    "OpenPose (a folder per camera), COCO results or instances, MMPose, AlphaPose, YOLO text (a folder per camera), "
    "DeepLabCut csv or h5"
)


@dataclass(frozen=True)
class ImageListing:
    """The people of a file by image.

    Attributes:
        people: image (a number, or a text) and keypoints of everybody, in the order of the file.
        images: those that the file names beside them: on some of them nobody may be.
        skeleton: what the file says of its joints, if anything.
        odd: people without an image.
    """

    people: tuple[tuple[int | str, object], ...]
    images: tuple[int | str, ...] = ()
    skeleton: Skeleton | None = None
    odd: tuple[Odd, ...] = ()

    def frames(self) -> dict[int | str, list[object]]:
        """The people of every image."""
        found: dict[int | str, list[object]] = {image: [] for image in self.images}
        for image, person in self.people:
            found.setdefault(image, []).append(person)
        return found


def listing_of(root: Entry) -> ImageListing:
    """The people of a JSON file of several images; `InputError` where it is of another form, or of one image."""
    if root.has("annotations") and root.has("images"):
        return _coco_instances(root)
    if _of_video(root):
        return _mmpose_video(root)
    if _begins_with(root, "image_id") or root.value == []:
        found = [(_image(entry, "image_id"), entry) for entry in root.items()]
        return _listing([(image, person_of_object(entry.value, "keypoints")) for image, entry in found], found)
    images = [(name, entry) for name, entry in root.entries()] if isinstance(root.value, dict) else []
    if images and any(entry.has(key) for _, entry in images[:TRIED] for key, _ in PEOPLE_LISTS):
        people = [(name, person) for name, entry in images for person in people_of_image(entry)]
        return ImageListing(tuple(people), tuple(name for name, _ in images))
    if says_one_image(root):
        raise InputError(
            f"{root.place}: speaks of one image; of several, a folder per camera with a file per frame is expected."
        )
    raise InputError(f"{root.place}: {_what(root)}; known are {KNOWN_FORMS}.")


def _begins_with(root: Entry, key: str) -> bool:
    """Whether elements of a list have such an entry; some may be odd."""
    return isinstance(root.value, list) and any(isinstance(one, dict) and key in one for one in root.value)


def _of_video(root: Entry) -> bool:
    frames = root.at("instance_info") if root.has("instance_info") else root
    return _begins_with(frames, "instances") or (root.has("instance_info") and frames.value == [])


def _what(root: Entry) -> str:
    """What there is instead of detections of people."""
    some = root.value[0] if isinstance(root.value, list) and root.value else root.value
    if not isinstance(some, dict):
        return f"is no file of detections ({short(root.value)})"
    keys = ", ".join(short(str(key)) for key in list(some)[:6])
    return (
        f"holds {'boxes, but no keypoints' if {'bboxes', 'bbox'} & set(some) else 'no detections of people'} ({keys})"
    )


def _image(entry: Entry, key: str) -> int | str | None:
    """What an entry says of its image; None where that is neither a number nor a name."""
    image = entry.value.get(key) if isinstance(entry.value, dict) else None
    if isinstance(image, float) and image.is_integer():
        image = int(image)
    if isinstance(image, bool) or not isinstance(image, int | str):
        return None
    return image if isinstance(image, str) or abs(image) <= MOST_WHOLE else None


def _listing(
    people: Sequence[tuple[int | str | None, object]],
    entries: Sequence[tuple[int | str | None, Entry]],
    images: Sequence[int | str] = (),
    skeleton: Skeleton | None = None,
) -> ImageListing:
    """People by image; those whose entry says none are counted, or `InputError` where nobody's does."""
    lost = [f"{entry.place}: {short(entry.value)}" for image, entry in entries if image is None]
    if lost and len(lost) == len(entries):
        raise InputError(f"{lost[0]} does not say which image it is of.")
    odd = (Odd(NO_FRAME, len(lost), lost[0]),) if lost else ()
    return ImageListing(tuple((image, one) for image, one in people if image is not None), tuple(images), skeleton, odd)


def _coco_instances(root: Entry) -> ImageListing:
    """Images by their file's name, people with visibilities as scores, joints by the names of the category."""
    names: dict[int | str, str] = {}
    for entry in root.at("images").items():
        number, name = _image(entry, "id"), _image(entry, "file_name")
        if number is not None:
            names[number] = name if isinstance(name, str) else str(number)
    found = []
    for entry in root.at("annotations").items():
        number = _image(entry, "image_id")
        found.append((None if number is None else names.get(number, str(number)), entry))
    people = [(image, _visible(person_of_object(entry.value, "keypoints"))) for image, entry in found]
    return _listing(people, found, tuple(names.values()), _skeleton_of_categories(root))


def _visible(person: object) -> object:
    """A person whose visibilities are scores: 1 and 2 (hidden, visible) are both seen."""
    if not isinstance(person, list):
        return person
    return [1.0 if at % 3 == 2 and value == 2 else value for at, value in enumerate(person)]


def _skeleton_of_categories(root: Entry) -> Skeleton | None:
    categories = root.at("categories").value if root.has("categories") else None
    for category in categories if isinstance(categories, list) else []:
        names = category.get("keypoints") if isinstance(category, dict) else None
        if isinstance(names, list):
            return skeleton_of_names([str(name) for name in names])
    return None


def _mmpose_video(root: Entry) -> ImageListing:
    """Frames by their number."""
    frames = root.at("instance_info") if root.has("instance_info") else root
    found, people = [], []
    for entry in frames.items():
        number = next((_image(entry, key) for key in FRAME_KEYS if entry.has(key)), None)
        found.append((number, entry))
        listed = entry.at("instances").value if entry.has("instances") else None
        for person in listed if isinstance(listed, list) else []:
            people.append((number, person_of_object(person, "keypoints")))
    images = [number for number, _ in found if number is not None]
    return _listing(people, found, images, _skeleton_of_meta(root))


def _skeleton_of_meta(root: Entry) -> Skeleton | None:
    """What MMPose's ``keypoint_id2name`` says."""
    meta = root.at("meta_info") if root.has("meta_info") else root
    names = meta.at("keypoint_id2name").value if meta.has("keypoint_id2name") else None
    return skeleton_of_names([str(name) for name in names.values()]) if isinstance(names, dict) else None
